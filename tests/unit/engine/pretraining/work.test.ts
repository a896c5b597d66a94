import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { architectureOf } from '../../../../src/main/engine/architectures'
import { parseConfig } from '../../../../src/main/engine/architectures/config'
import { Checkpoint, type TensorInfo } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  buildDecoderLayer,
  layerInputs,
  type LayerShape,
} from '../../../../src/main/engine/decoder/decoderLayer'
import { reachable, type Dim, type Graph } from '../../../../src/main/engine/onnx/graph'
import { buildLayerBackward } from '../../../../src/main/engine/pretraining/graphs'
import {
  planTraining,
  type TrainingModel,
  type TrainingPlan,
} from '../../../../src/main/engine/pretraining/memory'
import {
  backwardOperations,
  evaluationWork,
  layerOperations,
  parametersOf,
  saveWork,
  stepWork,
  type PlannedTraining,
} from '../../../../src/main/engine/pretraining/work'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'
import { placementOf } from '../../../../src/main/engine/onnx/placement'

async function model(options: Partial<TinyCheckpointOptions> = {}): Promise<Checkpoint> {
  const dir = join(await tempFolder(), 'model')
  await writeTinyCheckpoint({ dir, layers: 6, ...options })
  const checkpoint = await Checkpoint.open(dir)
  await checkpoint.close()
  return checkpoint
}

/** Floating-point operations of a graph's products, one window long. */
function productsOf(graph: Graph, length: number): number {
  const size = (dim: Dim | undefined): number =>
    typeof dim === 'number' ? dim : dim === 'batch' ? 1 : length
  let sum = 0
  for (const node of reachable(graph.outputs.map(({ value }) => value))) {
    if (node.op !== 'MatMul' && node.op !== 'Gemm') continue
    const attributes = node.attributes as { readonly transA?: boolean }
    const a = node.inputs[0]!.shape
    const inner = size(attributes.transA === true ? a.at(-2) : a.at(-1))
    sum += 2 * inner * node.outputs[0]!.shape.reduce<number>((all, dim) => all * size(dim), 1)
  }
  return sum
}

describe('the operations of a layer', () => {
  const shapes: LayerShape[] = [
    { length: 64, window: null },
    { length: 512, window: null },
  ]

  it.each(shapes)('are those of its graph, for $length tokens', async (shape) => {
    const { architecture, config } = await model()
    const own = layerOperations({ architecture, config }, 0, shape.length, shape.window)
    const counted = productsOf(buildDecoderLayer(config, architecture, shape), shape.length)
    expect(shape.length * (own.linear + own.attention)).toBe(counted)
  })

  it('are about those where a window slides', async () => {
    const { architecture, config } = await model()
    const shape = { length: 1024, window: 128 }
    const own = layerOperations({ architecture, config }, 0, shape.length, shape.window)
    const counted = productsOf(buildDecoderLayer(config, architecture, shape), shape.length)
    const ratio = (shape.length * (own.linear + own.attention)) / counted
    expect(ratio).toBeGreaterThan(1)
    expect(ratio).toBeLessThan(1.1)
  })

  it.each([true, false])('are those of its backward graph, trained: %s', async (trains) => {
    const checkpoint = await model({ hidden: 64, intermediate: 96 })
    const { architecture, config }: TrainingModel = checkpoint
    const shape = { length: 256, window: null }
    const trained = trains ? layerInputs(architecture, config, 0).map(({ name }) => name) : []
    const graph = buildLayerBackward(checkpoint, shape, {
      trained,
      passesOn: true,
      accumulates: false,
    })
    const own = layerOperations(checkpoint, 0, shape.length, null)
    const expected = shape.length * backwardOperations(own, { recomputes: true, trains })
    const ratio = productsOf(graph, shape.length) / expected
    // The layer's last product is not needed again.
    expect(ratio).toBeGreaterThan(0.85)
    expect(ratio).toBeLessThanOrEqual(1)
  })
})

describe('the work of a training', () => {
  const plan = (
    checkpoint: Checkpoint,
    layers: readonly number[],
    changes: Partial<TrainingPlan> = {},
  ): PlannedTraining => {
    const size = { parts: 'all', context: 32, batch: 4 } as const
    const placement = placementOf('cpu')
    const planned = planTraining(checkpoint, { layers, ...size, placement })
    return { checkpoint, layers, ...size, plan: { ...planned, ...changes } }
  }

  it('has no backward pass below the lowest trained layer', async () => {
    const checkpoint = await model()
    const low = stepWork(plan(checkpoint, [1]))
    const high = stepWork(plan(checkpoint, [4]))
    expect(low.layers?.forward).toBe(high.layers?.forward)
    const { linear, attention } = layerOperations(checkpoint, 0, 32, null)
    const frozen = { recomputes: false, trains: false }
    const between = 3 * 4 * 32 * backwardOperations({ linear, attention }, frozen)
    expect(low.layers!.backward - high.layers!.backward).toBe(between)
  })

  it('computes layers again unless everything is kept', async () => {
    const checkpoint = await model()
    const keeping = stepWork(plan(checkpoint, [2, 3], { mode: 'keep' }))
    const again = stepWork(plan(checkpoint, [2, 3], { mode: 'recompute' }))
    const { linear, attention } = layerOperations(checkpoint, 0, 32, null)
    expect(again.layers!.backward - keeping.layers!.backward).toBe(
      4 * 4 * 32 * (linear + attention),
    )
  })

  it('reads in a step what is not in memory: all frozen layers, and the upper ones twice', async () => {
    const checkpoint = await model()
    expect(stepWork(plan(checkpoint, [2, 4])).converted).toBe(0)
    const layer = [...checkpoint.tensors.values()]
      .filter(({ name }) => name.startsWith('model.layers.0.'))
      .reduce((sum, { byteLength }) => sum + byteLength, 0)
    const streaming = stepWork(plan(checkpoint, [2, 4], { pinnedLayers: [0] }))
    expect(streaming.converted).toBe((3 + 2) * layer)
    const all = plan(checkpoint, [2, 4], { pinnedLayers: [0], pinsVocabulary: false })
    const matrix = checkpoint.tensors.get('lm_head.weight')!.byteLength
    expect(stepWork(all).converted).toBe((3 + 2) * layer + 3 * matrix)
    expect(evaluationWork(all, 10).converted).toBe(3 * layer + 2 * matrix)
  })

  it('takes states from their files and back', async () => {
    const checkpoint = await model()
    const parameters = parametersOf(plan(checkpoint, [2]))
    const filed = plan(checkpoint, [2, 4], {
      placeOf: (layer) => (layer === 2 ? 'file' : 'memory'),
    })
    expect(stepWork(plan(checkpoint, [2, 4])).copied).toBe(0)
    expect(stepWork(filed).copied).toBe(((6 + 4) / 2) * 4 * parameters)
    expect(saveWork(filed).copied).toBe(2 * 3 * 4 * parameters)
  })

  it('moves only what is trained', async () => {
    const checkpoint = await model()
    const all = plan(checkpoint, [2, 4])
    const norms = { ...all, parts: 'norms' } as const
    expect(parametersOf(norms)).toBe(2 * 2 * 32)
    expect(parametersOf(all)).toBe(2 * checkpoint.summarize().parameters_per_layer)
    expect(stepWork(norms).updated).toBe(2 * 2 * 32)
    expect(stepWork(norms).layers!.backward).toBeLessThan(stepWork(all).layers!.backward)
  })

  it('of an evaluation grows with its windows, and has no backward pass', async () => {
    const planned = plan(await model(), [2, 4])
    const [ten, one] = [evaluationWork(planned, 10), evaluationWork(planned, 1)]
    expect(ten.layers!.forward).toBeCloseTo(10 * one.layers!.forward, 3)
    expect(ten.layers!.backward).toBe(0)
    expect(ten.head).toBe(10 * 32 * 2 * 32 * 64)
  })
})

describe('the work of a step of an 8 B model, grown from 32 layers to 48', () => {
  const file = 'config.json'
  const raw = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    num_hidden_layers: 48,
    vocab_size: 128_256,
    rms_norm_eps: 1e-5,
    max_position_embeddings: 8192,
    tie_word_embeddings: false,
  }
  const architecture = architectureOf(raw, file)
  const config = parseConfig(raw, architecture.configRules, file)
  const layerTensorName = (layer: number, suffix: string): string =>
    `${architecture.layerPrefix}${layer}.${suffix}`
  const tensors = new Map<string, TensorInfo>()
  const add = (name: string, shape: readonly number[]): void => {
    const byteLength = 2 * shape.reduce((product, dim) => product * dim, 1)
    tensors.set(name, { name, dtype: 'BF16', shape, file, offset: 0, byteLength })
  }
  const { embedTokens, lmHead } = architecture
  for (const name of [embedTokens, lmHead]) add(name, [config.vocabSize, config.hiddenSize])
  for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
    for (const { suffix, shape } of architecture.layerTensors(config, 0)) {
      add(layerTensorName(layer, suffix), shape)
    }
  }
  const checkpoint = { architecture, config, tensors, layerTensorName }
  const layers = Array.from({ length: 16 }, (_, index) => 17 + 2 * index)
  const size = { layers, parts: 'all', context: 2048, batch: 4 } as const
  const placement = placementOf('cpu')
  const request = { ...size, placement, memoryBytes: 24e9 }
  const training = { checkpoint, ...size, plan: planTraining(checkpoint, request) }

  it('is that of its products', () => {
    const { layers: passes, head = 0, updated } = stepWork(training)
    expect(updated).toBe(3_489_792_000)
    const [terapasses, terahead] = [(passes!.forward + passes!.backward) / 1e12, head / 1e12]
    // Counted by hand: forward 178, again 119, slopes 119 and more for attention, weights 57, and the head 26.
    expect(terapasses).toBeGreaterThan(450)
    expect(terapasses).toBeLessThan(500)
    expect(terahead).toBeCloseTo(25.8, 1)
    const seconds = (passes!.forward + passes!.backward + head) / 170e9
    expect(seconds / 60).toBeGreaterThan(46)
    expect(seconds / 60).toBeLessThan(52)
  })

  it('reads frozen layers twice, and has most states in files', () => {
    const work = stepWork(training)
    const pinned = training.plan.pinnedLayers.length
    expect(work.converted! / 1e9).toBeGreaterThan((0.436 * (32 + 15) - 2 * pinned * 0.436) * 0.99)
    expect(work.copied! / 1e9).toBeGreaterThan(40)
    expect(training.plan.stateBytes / 1e9).toBeCloseTo(41.9, 1)
  })
})
