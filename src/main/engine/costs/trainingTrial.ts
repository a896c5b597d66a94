/** @file How fast this machine trains layers: the trainer's own kernels, on a layer of the model's proportions. */
import { elementsOf } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import { buildDecoderLayer, LAYER_IO, layerInputs, type LayerShape } from '../decoder/decoderLayer'
import { HEAD_IO } from '../decoder/head'
import { layerTables } from '../decoder/tables'
import type { Graph } from '../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'
import {
  buildLayerBackward,
  buildLossHead,
  buildUpdate,
  LOSS_IO,
  SLOPE_IO,
  UPDATE_IO,
} from '../pretraining/graphs'
import { UPDATE_BLOCK } from '../pretraining/LayerTrainer'
import { kernelOptions, type TrainingModel, type TrainingPlan } from '../pretraining/memory'
import { SCALARS, STATE_PARTS } from '../training/adamw'
import { backwardOperations, layerOperations } from '../pretraining/work'

/** Operations, or parameters, in a second. */
export interface TrainingRates {
  readonly forward: number
  readonly backward: number
  readonly head: number
  readonly update: number
}

export interface TrialShape extends Pick<TrainingPlan, 'keepsMemory'> {
  /** Tokens of a window, and windows that run through a layer at once. */
  readonly context: number
  readonly windows: number
}

/** A wider layer is as fast as one of this width: both have products that fill the machine. */
const WIDEST = 1024

/** Of a layer's run forward in the trial; its backward pass takes four times as long. */
const TRIAL_OPERATIONS = 4e9

/** Rows and logits of the trial of the head. */
const HEAD_ROWS = 256
const HEAD_LOGITS = 2 ** 21

/** Of parameters in the trial of the optimiser. */
const UPDATED_BLOCKS = 8

/**
 * Each kernel runs once before, and then so often and so long at least: the middle one counts, since a training goes on
 * beside whatever else the machine does.
 */
const ATTEMPTS = 3
const LEAST_SECONDS = 0.2

/** The trial's layer, and what runs through it. Equal trials have equal names. */
export interface Trial extends TrialShape {
  readonly name: string
  readonly model: TrainingModel
}

/** A layer of the model's proportions, and no more tokens than a trial needs. */
export function trialOf({ architecture, config }: TrainingModel, shape: TrialShape): Trial {
  const small = narrowed(config)
  const model = { architecture, config: small }
  const { linear, attention } = layerOperations(model, 0, shape.context, null)
  const most = TRIAL_OPERATIONS / (linear + attention)
  const context = Math.min(shape.context, Math.max(Math.min(shape.context, 128), Math.floor(most)))
  const windows = Math.max(1, Math.min(shape.windows, Math.floor(most / context)))
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = small
  const sizes = [hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim]
  const name = [
    config.modelType,
    ...sizes,
    Math.min(config.vocabSize, HEAD_LOGITS / HEAD_ROWS),
    `${windows}x${context}`,
    ...(shape.keepsMemory ? ['kept'] : []),
  ].join('/')
  return { name, model, context, windows, keepsMemory: shape.keepsMemory }
}

/** A config whose layers are at most {@link WIDEST} wide: fewer heads of the same size, a narrower MLP. */
function narrowed(config: ModelConfig): ModelConfig {
  const factor = Math.max(1, config.hiddenSize / WIDEST)
  if (factor === 1) return config
  const repeat = config.numAttentionHeads / config.numKeyValueHeads
  const numKeyValueHeads = Math.max(1, Math.round(config.numKeyValueHeads / factor))
  return {
    ...config,
    hiddenSize: WIDEST,
    intermediateSize: 64 * Math.max(1, Math.round(config.intermediateSize / factor / 64)),
    numKeyValueHeads,
    numAttentionHeads: numKeyValueHeads * repeat,
  }
}

/** Times the kernels of a training step, a few seconds long. */
export async function timeTraining(runtime: Runtime, trial: Trial): Promise<TrainingRates> {
  const { model, context, windows } = trial
  const { architecture, config } = model
  const shape: LayerShape = { length: context, window: null }
  const tokens = windows * context
  const state = [windows, context, config.hiddenSize]
  const inputs = layerInputs(architecture, config, shape.form ?? 0)
  const feeds: Record<string, Tensor> = {
    ...layerTables(runtime, config, shape, { tokens: context }),
  }
  for (const input of inputs) {
    feeds[input.name] = await runtime.upload(plausible(elementsOf(input.shape)), input.shape)
  }
  feeds[LAYER_IO.input] = runtime.float32(plausible(tokens * config.hiddenSize), state)
  const own = layerOperations(model, 0, context, null)
  const forward = await seconds(
    runtime,
    trial,
    buildDecoderLayer(config, architecture, shape),
    (kernel) => kernel.run(feeds),
  )
  const options = {
    trained: inputs.map(({ name }) => name),
    passesOn: true,
    accumulates: false,
  }
  feeds[SLOPE_IO.above] = runtime.float32(plausible(tokens * config.hiddenSize), state)
  const backward = await seconds(
    runtime,
    trial,
    buildLayerBackward(model, shape, options),
    (kernel) => kernel.run(feeds),
  )
  for (const tensor of Object.values(feeds)) runtime.release(tensor)
  return {
    forward: (tokens * (own.linear + own.attention)) / forward,
    backward: (tokens * backwardOperations(own, { recomputes: true, trains: true })) / backward,
    head: await timeHead(runtime, trial),
    update: await timeUpdate(runtime, trial),
  }
}

async function timeHead(runtime: Runtime, trial: Trial): Promise<number> {
  const { model } = trial
  const { hiddenSize, vocabSize } = model.config
  const vocabulary = Math.min(vocabSize, HEAD_LOGITS / HEAD_ROWS)
  const feeds = {
    [HEAD_IO.hidden]: runtime.float32(plausible(HEAD_ROWS * hiddenSize), [HEAD_ROWS, hiddenSize]),
    [HEAD_IO.norm]: runtime.float32(plausible(hiddenSize), [hiddenSize]),
    [HEAD_IO.matrix]: await runtime.upload(plausible(vocabulary * hiddenSize), [
      vocabulary,
      hiddenSize,
    ]),
    [HEAD_IO.target]: runtime.int64(new BigInt64Array(HEAD_ROWS), [HEAD_ROWS, 1]),
    [LOSS_IO.share]: runtime.float32(plausible(HEAD_ROWS), [HEAD_ROWS, 1]),
  }
  const time = await seconds(runtime, trial, buildLossHead(model), (kernel) => kernel.run(feeds))
  for (const tensor of Object.values(feeds)) runtime.release(tensor)
  return (2 * 2 * HEAD_ROWS * hiddenSize * vocabulary) / time
}

/** On the host in blocks, as the trainer has it, of arrays that no core's cache holds; a device takes them whole. */
async function timeUpdate(runtime: Runtime, trial: Trial): Promise<number> {
  const size = UPDATED_BLOCKS * UPDATE_BLOCK
  const { isHost } = runtime.placement
  const arrays: Record<string, Float32Array> = {}
  for (const name of [...STATE_PARTS, UPDATE_IO.gradient]) arrays[name] = plausible(size)
  const one = runtime.float32(Float32Array.of(1), [1])
  const scalars = Object.fromEntries([...SCALARS, UPDATE_IO.clip].map((name) => [name, one]))
  const block = isHost ? UPDATE_BLOCK : size
  const runs: { feeds: Record<string, Tensor>; into: Record<string, Tensor> }[] = []
  for (let start = 0; start < size; start += block) {
    const feeds: Record<string, Tensor> = {}
    for (const [name, values] of Object.entries(arrays)) {
      feeds[name] = await runtime.upload(values.subarray(start, start + block), [block])
    }
    const own = STATE_PARTS.map((part) => [`${part}.next`, feeds[part]!] as const)
    runs.push({ feeds, into: isHost ? Object.fromEntries(own) : {} })
  }
  const graph = buildUpdate(1, { beta1: 0.9, beta2: 0.95 })
  const time = await seconds(runtime, trial, graph, async (kernel) => {
    for (const { feeds, into } of runs) await kernel.run({ ...feeds, ...scalars }, into)
  })
  for (const { feeds } of runs) {
    for (const tensor of Object.values(feeds)) runtime.release(tensor)
  }
  return size / time
}

/** Of what is run with a graph; its kernel lives no longer. */
async function seconds(
  runtime: Runtime,
  trial: Trial,
  graph: Graph,
  run: (kernel: Kernel) => Promise<unknown>,
): Promise<number> {
  const kernel = await runtime.compile(graph, kernelOptions(trial))
  try {
    await run(kernel)
    const taken: number[] = []
    for (let total = 0; taken.length < ATTEMPTS || total < LEAST_SECONDS; total += taken.at(-1)!) {
      const start = performance.now()
      await run(kernel)
      taken.push((performance.now() - start) / 1000)
    }
    return taken.sort((a, b) => a - b)[taken.length >> 1]!
  } finally {
    await kernel.dispose()
  }
}

/** Numbers of a size that weights and hidden states have; which ones they are makes no difference. */
function plausible(length: number): Float32Array {
  const values = new Float32Array(length)
  // Above zero, as second moments have to be, and far from the numbers that are slow.
  for (let index = 0; index < length; index += 1) values[index] = 0.01 + (index % 7) * 0.002
  return values
}
