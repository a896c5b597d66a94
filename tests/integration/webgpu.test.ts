import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import {
  CoordinateStore,
  type StoreShape,
} from '../../src/main/engine/lesa/decomposition/CoordinateStore'
import { decompose } from '../../src/main/engine/lesa/decomposition/decompose'
import { chooseDevice, probeDevices } from '../../src/main/engine/onnx/devices'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../support/checkpoints'
import {
  orthogonality,
  randomLayers,
  reconstructionError,
  sourceOf,
} from '../support/decompositionChecks'
import { learnedMethod, runExpand } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'
import { useSoftwareVulkan } from '../support/webgpu'

const webgpu = useSoftwareVulkan()

describe.skipIf(!webgpu)('the GPU path, on the software adapter', () => {
  let runtime: Runtime
  beforeAll(async () => {
    runtime = await Runtime.open('webgpu')
  })
  afterAll(() => runtime.dispose())

  test('decomposes: singular values as on the CPU, orthogonality, reconstruction', async () => {
    const rows = 70
    const layers = randomLayers(4, rows, 24)
    const options = {
      energy: 1,
      createStore: (shape: StoreShape) => CoordinateStore.inMemory(shape),
      onProgress: () => undefined,
    }
    const reads: number[] = []
    const source = sourceOf(layers, rows)
    const counted = {
      ...source,
      read: (layer: number) => {
        reads.push(layer)
        return source.read(layer)
      },
    }
    const onGpu = await decompose(runtime, counted, { ...options, keepsLayers: true })
    // Each layer went to the device once.
    expect(reads).toEqual([0, 1, 2, 3])
    const onCpu = await decompose(await Runtime.open('cpu'), sourceOf(layers, rows), options)
    onCpu.singularValues?.forEach((value, k) => {
      expect(Math.abs((onGpu.singularValues?.[k] ?? 0) / value - 1)).toBeLessThan(1e-4)
    })
    expect(orthogonality(onGpu)).toBeLessThanOrEqual(1e-5)
    for (const [layer, weights] of layers.entries()) {
      expect(reconstructionError(onGpu, layer, weights)).toBeLessThanOrEqual(1e-5)
    }
  })

  test('keeps tensors on the device between runs and reads them back', async () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 6)
    const tensor = await runtime.upload(values, [2, 3])
    expect(tensor.location).toBe('gpu-buffer')
    expect(await runtime.read(tensor)).toEqual(values)
    runtime.release(tensor)
  })

  test.each([
    ['F32', 1e-7],
    // Coordinates in 16 bits on the host; the rounding of a BF16 weight is up to 2^-8 of it.
    ['BF16', 2 ** -8],
  ] as const)('grows a model of %s as on the CPU', async (dtype, rounding) => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'model'), layers: 4, dtype })
    const method = learnedMethod('paper')
    const grow = (device: 'cpu' | 'webgpu') =>
      runExpand(expandSpec({ model, out: join(folder, device), method, device }))
    const [gpu, cpu] = [await grow('webgpu'), await grow('cpu')]
    expect(gpu.device?.device).toBe('webgpu')
    const [a, b] = await Promise.all([Checkpoint.open(gpu.out), Checkpoint.open(cpu.out)])
    for (const { name } of a.tensors.values()) {
      const [left, right] = [await a.readFloat32(name), await b.readFloat32(name)]
      const norm = Math.hypot(...right)
      const distance = Math.hypot(...left.map((value, i) => value - (right[i] ?? 0)))
      // Training amplifies rounding; what was only copied must not differ at all.
      expect(distance / norm).toBeLessThan(name.includes('_proj') ? 2e-2 + rounding : 1e-7)
    }
    await Promise.all([a.close(), b.close()])
  })

  test('is found, named as software, and not taken by auto', async () => {
    const report = (await probeDevices()).find(({ device }) => device === 'webgpu')
    expect(report).toMatchObject({ available: true, isSoftware: true })
    expect(await chooseDevice('auto')).toEqual({
      device: 'cpu',
      reason: 'the only GPU adapter here is software',
    })
    expect((await chooseDevice('webgpu')).device).toBe('webgpu')
  })
})

describe('a device that is not there', () => {
  test('is refused by name, with what was wrong', async () => {
    const missing = process.platform === 'darwin' ? 'dml' : 'coreml'
    await expect(chooseDevice(missing)).rejects.toMatchObject({ code: 'device_unavailable' })
  })
})
