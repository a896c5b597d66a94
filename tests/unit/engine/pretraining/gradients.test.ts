import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  readFloatTensors,
  writeFloatTensors,
  type FloatTensor,
} from '../../../../src/main/engine/checkpoint/floatTensors'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import type { LayerTrainer } from '../../../../src/main/engine/pretraining/LayerTrainer'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { computingAgain, finish, openTrainer } from '../../../support/layerTraining'
import { PRETRAIN_CASES } from '../../../support/pretrainCases'
import { seededFloats } from '../../../support/random'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const CONTEXT = 12

/** Every kind of tensor that a layer may have, in small. */
const MODELS: Readonly<Record<string, Omit<TinyCheckpointOptions, 'dir'>>> = {
  llama: { attentionBias: true, mlpBias: true },
  qwen2: { architecture: 'qwen2', tieWordEmbeddings: true },
  qwen3: { architecture: 'qwen3', headDim: 16, attentionBias: true },
  phi3: {
    architecture: 'phi3',
    hidden: 64,
    headDim: 16,
    config: { partial_rotary_factor: 0.5, sliding_window: 5 },
  },
}

/** What a trainer keeps of a layer: the moments of the first step are the gradient. */
class Kept {
  private constructor(private readonly folder: string) {}

  static async of(trainer: LayerTrainer): Promise<Kept> {
    const folder = await tempFolder()
    await trainer.save(folder)
    return new Kept(folder)
  }

  async read(layer: number): Promise<Map<string, FloatTensor>> {
    return (await readFloatTensors(this.#file(layer))).tensors
  }

  /** The same with other values of one tensor. */
  async with(layer: number, name: string, values: Float32Array): Promise<string> {
    const folder = join(await tempFolder(), 'changed')
    await cp(this.folder, folder, { recursive: true })
    const { tensors, metadata } = await readFloatTensors(this.#file(layer))
    tensors.set(name, { ...tensors.get(name)!, values })
    const changed = new Kept(folder)
    await writeFloatTensors(changed.#file(layer), [...tensors.values()], metadata)
    return folder
  }

  #file(layer: number): string {
    return join(this.folder, `layer-${layer}.safetensors`)
  }
}

describe('the gradient of every tensor is how the loss changes', () => {
  test.each(Object.entries(MODELS))('%s', async (_, options) => {
    const dir = join(await tempFolder(), 'model')
    const model = await writeTinyCheckpoint({ ...options, dir, layers: 3, dtype: 'F32', seed: 5 })
    const plan = computingAgain(2)
    const settings = { ...PRETRAIN_CASES['llama']!, schedule: () => 1, layers: [0, 2], clip: 0 }
    const trainer = await openTrainer(runtime, model, {
      settings,
      context: CONTEXT,
      batch: 3,
      plan,
    })
    const windows = [1, 2, 3].map((seed) =>
      Int32Array.from(seededFloats(CONTEXT, seed, [0, 64]), Math.floor),
    )
    const start = await Kept.of(trainer)
    await finish(trainer.step(windows))
    const stepped = await Kept.of(trainer)

    const lossAt = async (layer: number, name: string, values: Float32Array): Promise<number> => {
      await trainer.restore(await start.with(layer, name, values))
      return (await finish(trainer.evaluate(windows))).loss
    }
    for (const layer of settings.layers) {
      const values = await start.read(layer)
      const moments = await stepped.read(layer)
      expect([...moments.keys()]).toEqual([...values.keys()])
      expect(values.size).toBeGreaterThanOrEqual(3 * (7 + 2))
      for (const [name, { values: gradient }] of moments) {
        if (!name.endsWith('.first')) continue
        const own = name.replace(/first$/, 'value')
        const at = values.get(own)!.values
        // The gradient's own direction, in which the loss changes most, and one that any other element shows in.
        const [along, across] = [unit(gradient), unit(seededFloats(at.length, 7))]
        const direction = along.map((value, k) => value + across[k]!)
        const moved = (by: number): Promise<number> =>
          lossAt(
            layer,
            own,
            at.map((value, k) => value + by * direction[k]!),
          )
        const difference = ((await moved(STEP)) - (await moved(-STEP))) / (2 * STEP)
        const slope = gradient.reduce((sum, value, k) => sum + value * direction[k]!, 0)
        expect(Math.abs(slope / difference - 1), `layer ${layer}, ${own}`).toBeLessThan(3e-3)
      }
    }
  })
})

/** Of the difference quotient: as small as what rounding leaves of a float32 loss's change allows. */
const STEP = 0.01

function unit(values: Float32Array): Float32Array {
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}
