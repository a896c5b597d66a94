import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { readFloatTensors } from '../../../../src/main/engine/checkpoint/floatTensors'
import { collectSums } from '../../../../src/main/engine/fitting/direction'
import { OUTPUT_SLOTS, type OutputSlot } from '../../../../src/main/engine/fitting/graphs'
import { planStream } from '../../../../src/main/engine/fitting/memory'
import { StreamedModel } from '../../../../src/main/engine/fitting/StreamedModel'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { familyModel, familyReference } from '../../../support/familyCases'
import { runExpand } from '../../../support/jobs'
import { finish, keeping, openTrainer } from '../../../support/layerTraining'
import { PRETRAIN_CASES } from '../../../support/pretrainCases'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const windows = familyReference('lfm2').windows.map((ids) => Int32Array.from(ids))
const context = windows[0]!.length
const predicted = windows.length * (context - 1)

/** Σ over tokens of the loss's slope times what an output matrix is applied to, of a silent block after a layer. */
async function gradients(layer: number): Promise<Record<OutputSlot, Float32Array>> {
  const checkpoint = await Checkpoint.open(familyModel('lfm2'))
  onTestFinished(() => checkpoint.close())
  const { placement } = runtime
  const request = { context, windows: windows.length, lowest: layer, placement, what: 'fit' }
  const plan = planStream(checkpoint, request)
  const { signal } = new AbortController()
  const scratch = await tempFolder()
  const model = await StreamedModel.open(checkpoint, runtime, { context, plan, scratch, signal })
  onTestFinished(() => model.dispose())
  const blocks = [{ layer, outputs: null }]
  const entries = model.stackOf(blocks)
  const micros = model.microBatches(windows)
  const kept = model.keptStates()
  const final = await finish(model.forward(await model.embed(micros), entries, blocks, kept))
  const { slopes } = await finish(model.slopesAtEnd(micros, final))
  const found: Partial<Record<OutputSlot, Float32Array>> = {}
  await finish(
    model.backward({ final, slopes }, entries, blocks, kept, async function* (visited) {
      const { statistics, below } = yield* collectSums(model, visited)
      for (const slot of OUTPUT_SLOTS) {
        found[slot] = (statistics.sums[slot].gradient.data as Float32Array).slice()
      }
      return below
    }),
  )
  return found as Record<OutputSlot, Float32Array>
}

test.each([
  ['a layer with a convolution', 0, 'conv.out_proj'],
  ['one that attends', 1, 'o_proj'],
])('after %s, a fit’s slopes are the gradients of training the block', async (_, layer, mixer) => {
  const out = join(await tempFolder(), 'grown')
  const method = { name: 'llama-pro', gaps: [layer] } as const
  await runExpand(expandSpec({ model: familyModel('lfm2'), out, method, dtype: 'f32' }))
  const grown = layer + 1
  const settings = { ...PRETRAIN_CASES['llama']!, schedule: () => 1, layers: [grown], clip: 0 }
  const options = { settings, context, batch: windows.length, plan: keeping }
  const trainer = await openTrainer(runtime, out, options)
  await finish(trainer.step(windows))
  const folder = await tempFolder()
  await trainer.save(folder)
  const { tensors } = await readFloatTensors(join(folder, `layer-${grown}.safetensors`))
  const found = await gradients(layer)
  for (const [slot, name] of [
    ['o_proj', mixer],
    ['down_proj', 'down_proj'],
  ] as const) {
    const expected = tensors.get(`${name}.weight.first`)!.values
    const largest = Math.max(...expected.map(Math.abs))
    expect(largest).toBeGreaterThan(0)
    expect(found[slot]).toHaveLength(expected.length)
    const off = [...found[slot]].map((value, at) => value / predicted - expected[at]!)
    expect(Math.max(...off.map(Math.abs)) / largest, slot).toBeLessThan(1e-4)
  }
})
