import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { LayerReader } from '../../../../src/main/engine/decoder/LayerReader'
import { layerInputs } from '../../../../src/main/engine/decoder/decoderLayer'
import { collectSums, directionOf } from '../../../../src/main/engine/fitting/direction'
import {
  findDirections,
  meanOf,
  measurer,
  readOutputs,
  splitStack,
} from '../../../../src/main/engine/fitting/fit'
import { OUTPUT_SLOTS, SUMS } from '../../../../src/main/engine/fitting/graphs'
import { planStream } from '../../../../src/main/engine/fitting/memory'
import {
  StreamedModel,
  type Block,
  type BlockOutputs,
} from '../../../../src/main/engine/fitting/StreamedModel'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import {
  FIT_CASES,
  FIT_LAYERS,
  FIT_STARTS,
  FIT_STEP,
  fitContext,
  fitReference,
  fitWindows,
  writeFitCase,
  type FitCase,
  type FitStart,
  type MatrixSample,
} from '../../../support/fitCases'
import { finish } from '../../../support/layerTraining'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Half of what a layer's output matrices are. */
async function outputsOf(
  checkpoint: Checkpoint,
  layer: number,
  factor: number,
): Promise<BlockOutputs> {
  const weights = await new LayerReader(checkpoint).read(layer, null)
  const of = (slot: string): Float32Array => {
    const { tensor, offset, shape } = layerInputs(
      checkpoint.architecture,
      checkpoint.config,
      0,
    ).find(({ name }) => name === `${slot}.weight`)!
    const size = shape.reduce((a, b) => a * b, 1)
    return weights
      .get(tensor)!
      .slice(offset, offset + size)
      .map((value) => factor * value)
  }
  return { o_proj: of('o_proj'), down_proj: of('down_proj') }
}

interface Opened {
  readonly model: StreamedModel
  readonly blocks: Block[]
  readonly folder: string
}

async function open(name: FitCase, start: FitStart, keptBytes?: number): Promise<Opened> {
  const folder = await tempFolder()
  const checkpoint = await Checkpoint.open(await writeFitCase(join(folder, 'model'), name))
  onTestFinished(() => checkpoint.close())
  const plan = planStream(checkpoint, {
    context: fitContext(name),
    windows: 3,
    lowest: FIT_LAYERS[0]!,
    placement: runtime.placement,
    what: 'fit',
  })
  const model = await StreamedModel.open(checkpoint, runtime, {
    context: fitContext(name),
    plan: keptBytes === undefined ? plan : { ...plan, keptBytes },
    scratch: folder,
    signal: new AbortController().signal,
  })
  const factor = FIT_STARTS[start]
  const blocks = FIT_LAYERS.map((layer) => ({
    layer,
    outputs: factor === 0 ? null : () => outputsOf(checkpoint, layer, factor),
  }))
  return { model, blocks, folder }
}

/** The largest distance between the samples, over the largest value. */
function apart(values: Float32Array, { shape, values: expected, norm }: MatrixSample): number {
  expect(values.length).toBe(shape.reduce((a, b) => a * b, 1))
  const places = expected.map((_, index) =>
    Math.round((index * (values.length - 1)) / (expected.length - 1)),
  )
  const largest = Math.max(...expected.map(Math.abs))
  const own = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0))
  return Math.max(
    Math.abs(own / norm - 1),
    ...places.map((place, index) => Math.abs((values[place] ?? NaN) - expected[index]!) / largest),
  )
}

describe.each(FIT_CASES)('%s, beside PyTorch', (name) => {
  test.each(Object.keys(FIT_STARTS) as FitStart[])(
    'from %s, has the same sums, directions and losses',
    async (start) => {
      const reference = fitReference(name).starts[start]
      const { model, blocks } = await open(name, start)
      const micros = model.microBatches(fitWindows(name))
      expect(micros.length).toBeGreaterThan(1)
      const [below, above] = splitStack(model.stackOf(blocks))
      const kept = model.keptStates()
      const states = await finish(model.forward(await model.embed(micros), below, blocks))
      const final = await finish(model.forward(states, above, blocks, kept))
      const { loss, slopes } = await finish(model.slopesAtEnd(micros, final))
      const tokens = fitWindows(name).length * (fitContext(name) - 1)
      expect(Math.abs(loss / tokens / reference.loss - 1)).toBeLessThan(1e-5)

      const seen: number[] = []
      await finish(
        model.backward({ final, slopes }, above, blocks, kept, async function* (visited) {
          seen.push(visited.block)
          const { statistics, below: passed } = yield* collectSums(model, visited)
          const direction = await directionOf(model, statistics, tokens)
          for (const slot of OUTPUT_SLOTS) {
            const expected = reference.blocks[visited.block]![slot]
            for (const sum of SUMS) {
              const values = statistics.sums[slot][sum].data as Float32Array
              expect([slot, sum, apart(values, expected[sum]) < 1e-4]).toEqual([slot, sum, true])
            }
            expect(apart(direction[slot], expected.direction)).toBeLessThan(1e-4)
            expect(apart(direction[slot], expected.exact)).toBeLessThan(1e-4)
          }
          return passed
        }),
      )
      expect(seen).toEqual([3, 2, 1, 0])
      await model.dispose()
    },
  )

  test('a step along all directions has the same loss', async () => {
    for (const start of Object.keys(FIT_STARTS) as FitStart[]) {
      const reference = fitReference(name).starts[start]
      const { model, blocks, folder } = await open(name, start)
      const directions = join(folder, 'directions')
      await mkdir(directions)
      await finish(findDirections(model, fitWindows(name), blocks, directions))
      const moved = await Promise.all(
        blocks.map(async ({ layer, outputs }, block) => {
          const [old, by] = [await outputs?.(), await readOutputs(directions, block)]
          const sum = (slot: 'o_proj' | 'down_proj'): Float32Array =>
            by[slot].map((value, index) => (old?.[slot][index] ?? 0) + FIT_STEP * value)
          const own = { o_proj: sum('o_proj'), down_proj: sum('down_proj') }
          return { layer, outputs: () => Promise.resolve(own) }
        }),
      )
      const measure = await measurer(model, fitWindows(name), blocks)
      expect(Math.abs(meanOf(await finish(measure(moved))) / reference.moved - 1)).toBeLessThan(
        1e-5,
      )
      expect(Math.abs(meanOf(await finish(measure(blocks))) / reference.loss - 1)).toBeLessThan(
        1e-5,
      )
      await model.dispose()
    }
  })
})

test('hidden states that have no room in memory go through files, and nothing else changes', async () => {
  const ways = [undefined, 0, 20_000]
  const found: BlockOutputs[][] = []
  for (const kept of ways) {
    const { model, blocks, folder } = await open('llama', 'half', kept)
    const directions = join(folder, 'directions')
    await mkdir(directions)
    await finish(findDirections(model, fitWindows('llama'), blocks, directions))
    found.push(await Promise.all(blocks.map((_, block) => readOutputs(directions, block))))
    await model.dispose()
  }
  expect(found[1]).toEqual(found[0])
  expect(found[2]).toEqual(found[0])
})
