import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { collectSums } from '../../../../src/main/engine/fitting/direction'
import { OUTPUT_SLOTS, SUMS, sumOf } from '../../../../src/main/engine/fitting/graphs'
import { planStream } from '../../../../src/main/engine/fitting/memory'
import { StreamedModel } from '../../../../src/main/engine/fitting/StreamedModel'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { encodeSafetensors } from '../../../support/checkpoints'
import { familyModel, familyReference } from '../../../support/familyCases'
import { finish } from '../../../support/layerTraining'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Granite's small model in F32; with its branches' factor in the matrices where that is `folded`. */
async function granite(isFolded: boolean): Promise<{ folder: string; factor: number }> {
  const base = await Checkpoint.open(familyModel('granite'))
  const factor = base.config.scales.residual
  const tensors = await Promise.all(
    [...base.tensors.values()].map(async ({ name, shape }) => {
      const isWriter = /(?:o|down)_proj\.weight$/.test(name)
      const values = (await base.readFloat32(name)).map((value) =>
        isFolded && isWriter ? factor * value : value,
      )
      return { name, dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }
    }),
  )
  await base.close()
  const text = await readFile(join(familyModel('granite'), 'config.json'), 'utf8')
  const config = JSON.parse(text) as Record<string, unknown>
  const folder = join(await tempFolder(), 'model')
  await mkdir(folder)
  const changed = { ...config, ...(isFolded ? { residual_multiplier: 1 } : {}) }
  await writeFile(join(folder, 'config.json'), JSON.stringify(changed))
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors(tensors))
  return { folder, factor }
}

/** The sums of a silent block after layer 1. */
async function sumsOf(folder: string): Promise<Map<string, Float32Array>> {
  const windows = familyReference('granite').windows.map((ids) => Int32Array.from(ids))
  const context = windows[0]!.length
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  const { placement } = runtime
  const plan = planStream(checkpoint, { context, windows: 2, lowest: 1, placement, what: 'fit' })
  const { signal } = new AbortController()
  const scratch = await tempFolder()
  const model = await StreamedModel.open(checkpoint, runtime, { context, plan, scratch, signal })
  onTestFinished(() => model.dispose())
  const blocks = [{ layer: 1, outputs: null }]
  const entries = model.stackOf(blocks)
  const micros = model.microBatches(windows)
  const kept = model.keptStates()
  const final = await finish(model.forward(await model.embed(micros), entries, blocks, kept))
  const { slopes } = await finish(model.slopesAtEnd(micros, final))
  const found = new Map<string, Float32Array>()
  await finish(
    model.backward({ final, slopes }, entries, blocks, kept, async function* (visited) {
      const { statistics, below } = yield* collectSums(model, visited)
      for (const slot of OUTPUT_SLOTS) {
        for (const name of SUMS) {
          const { data } = statistics.sums[slot][name]
          found.set(sumOf(slot, name), (data as Float32Array).slice())
        }
      }
      return below
    }),
  )
  return found
}

test('where branches are scaled, a block’s slopes are those at its output matrices’ results', async () => {
  const { folder, factor } = await granite(false)
  expect(factor).toBe(0.4)
  const scaled = await sumsOf(folder)
  const folded = await sumsOf((await granite(true)).folder)
  const powers = { features: 1, gradient: factor, slopes: factor ** 2 }
  for (const slot of OUTPUT_SLOTS) {
    for (const name of SUMS) {
      const [own, other] = [scaled.get(sumOf(slot, name))!, folded.get(sumOf(slot, name))!]
      const largest = Math.max(...other.map(Math.abs))
      expect(largest).toBeGreaterThan(0)
      const off = own.map((value, at) => Math.abs(value - powers[name] * other[at]!) / largest)
      expect(Math.max(...off), sumOf(slot, name)).toBeLessThan(1e-5)
    }
  }
})
