import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { findDirections, meanOf, measurer, readOutputs } from '../../src/main/engine/fitting/fit'
import { OUTPUT_SLOTS } from '../../src/main/engine/fitting/graphs'
import { planStream } from '../../src/main/engine/fitting/memory'
import {
  StreamedModel,
  type Block,
  type BlockOutputs,
} from '../../src/main/engine/fitting/StreamedModel'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { finish } from '../support/layerTraining'
import { seededFloats } from '../support/random'
import { tempFolder } from '../support/tempFolder'
import { useSoftwareVulkan } from '../support/webgpu'

const webgpu = useSoftwareVulkan()

const CONTEXT = 12
const LAYERS = [0, 2]

describe.skipIf(!webgpu)('fitting blocks on the software adapter', () => {
  let gpu: Runtime
  let cpu: Runtime
  beforeAll(async () => {
    gpu = await Runtime.open('webgpu')
    cpu = await Runtime.open('cpu')
  })
  afterAll(async () => {
    await gpu.dispose()
    await cpu.dispose()
  })

  const windows = Array.from({ length: 3 }, (_, row) =>
    Int32Array.from(seededFloats(CONTEXT, 50 + row, [0, 64]), Math.floor),
  )

  async function fit(
    runtime: Runtime,
    model: string,
    blocks: readonly Block[],
  ): Promise<{ directions: BlockOutputs[]; loss: number; moved: number }> {
    const folder = await tempFolder()
    const checkpoint = await Checkpoint.open(model)
    const plan = planStream(checkpoint, {
      context: CONTEXT,
      windows: windows.length,
      lowest: LAYERS[0]!,
      placement: runtime.placement,
      what: 'fit',
    })
    const streamed = await StreamedModel.open(checkpoint, runtime, {
      context: CONTEXT,
      // Two micro-batches, so that sums are added to.
      plan: { ...plan, training: { ...plan.training, microBatch: 2 } },
      scratch: folder,
      signal: new AbortController().signal,
    })
    try {
      const into = join(folder, 'directions')
      await mkdir(into)
      const { loss } = await finish(findDirections(streamed, windows, blocks, into))
      const directions = await Promise.all(LAYERS.map((_, block) => readOutputs(into, block)))
      const measure = await measurer(streamed, windows, blocks)
      const moved = LAYERS.map((layer, block) => ({
        layer,
        outputs: () => Promise.resolve(scaled(directions[block]!, 0.1)),
      }))
      return { directions, loss, moved: meanOf(await finish(measure(moved))) }
    } finally {
      await streamed.dispose()
      await checkpoint.close()
    }
  }

  test.each([0, 0.2])(
    'from %d of some outputs: as on the CPU',
    { timeout: 240_000 },
    async (factor) => {
      const model = await writeTinyCheckpoint({
        dir: join(await tempFolder(), 'model'),
        layers: 3,
        hidden: 16,
        seed: 44,
      })
      const { config } = await Checkpoint.open(model)
      const widths = {
        o_proj: config.numAttentionHeads * config.headDim,
        down_proj: config.intermediateSize,
      }
      const some = (slot: 'o_proj' | 'down_proj'): Float32Array =>
        Float32Array.from(
          seededFloats(config.hiddenSize * widths[slot], 9, [-1, 1]),
          (value) => factor * value,
        )
      const blocks: Block[] = LAYERS.map((layer) => ({
        layer,
        outputs:
          factor === 0
            ? null
            : () => Promise.resolve({ o_proj: some('o_proj'), down_proj: some('down_proj') }),
      }))
      const [here, there] = [await fit(cpu, model, blocks), await fit(gpu, model, blocks)]
      expect(Math.abs(there.loss / here.loss - 1)).toBeLessThan(1e-4)
      expect(Math.abs(there.moved / here.moved - 1)).toBeLessThan(1e-4)
      expect(here.moved).toBeLessThan(here.loss)
      for (const [block, directions] of here.directions.entries()) {
        for (const slot of OUTPUT_SLOTS) {
          const largest = Math.max(...directions[slot].map(Math.abs))
          const apart = directions[slot].map((value, index) =>
            Math.abs(value - (there.directions[block]![slot][index] ?? NaN)),
          )
          expect(largest).toBeGreaterThan(0)
          expect(Math.max(...apart) / largest).toBeLessThan(1e-3)
        }
      }
    },
  )
})

function scaled(outputs: BlockOutputs, factor: number): BlockOutputs {
  return {
    o_proj: outputs.o_proj.map((value) => factor * value),
    down_proj: outputs.down_proj.map((value) => factor * value),
  }
}
