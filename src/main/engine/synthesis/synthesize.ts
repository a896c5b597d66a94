import { AppError } from '@shared/errors'
import type { SynthSpec, TensorDtype } from '@shared/jobs'
import { architectureOf } from '../architectures'
import {
  besideLayers,
  partsOf,
  elementsOf,
  type Architecture,
  type LayerTensor,
} from '../architectures/Architecture'
import type { OutputTensor } from '../checkpoint/CheckpointWriter'
import { parseConfig, type ModelConfig, type RawConfig } from '../architectures/config'
import { bytesPerElement } from '../checkpoint/dtypes'
import { boundedRead } from '@system/boundedRead'
import { MAX_CONFIG_BYTES } from '../checkpoint/Checkpoint'
import { JsonProblem, parseLenientJson } from '../checkpoint/json'
import { biasVector, matrixBlocks, normVector } from './matrix'
import { PRESET_CONFIGS } from './presets'

/** What a synthetic checkpoint is to look like. */
export interface SynthesisPlan {
  /** For people: the preset's name, or the config's file. */
  readonly source: string
  /** The config as published, for the spelling of its numbers. */
  readonly configText: string
  /** The config to write. */
  readonly rawConfig: Record<string, unknown>
  readonly config: ModelConfig
  readonly architecture: Architecture
  readonly dtype: TensorDtype
}

const DTYPES = {
  bf16: { stored: 'BF16', config: 'bfloat16' },
  f16: { stored: 'F16', config: 'float16' },
  f32: { stored: 'F32', config: 'float32' },
} as const

/** Typical sizes seen in published checkpoints; q and k carry large biases where an architecture has them. */
const BIAS_SIZES: Readonly<Record<string, number>> = { q_proj: 0.5, k_proj: 1 }
const OTHER_BIAS_SIZE = 0.02
const EMBEDDING_DEVIATION = 0.02

/**
 * Reads the config asked for and sets its depth and element type.
 *
 * @throws AppError `not_found`, `path_denied`, `bad_checkpoint`, `unsupported_architecture`.
 */
export async function planSynthesis(
  spec: Pick<SynthSpec, 'like' | 'layers' | 'dtype'>,
): Promise<SynthesisPlan> {
  const { like } = spec
  const source = 'preset' in like ? like.preset : like.config
  const configText =
    'preset' in like ? PRESET_CONFIGS[like.preset] : await readConfigText(like.config)
  const published = parseObject(configText, source)
  const architecture = architectureOf(published, source)
  refuseWrapped(architecture, source)
  const { numHiddenLayers } = parseConfig(published, architecture.configRules, source)
  // Deeper than the model: its layers' types from the start again.
  const sources = Array.from(
    { length: spec.layers ?? numHiddenLayers },
    (_, layer) => layer % numHiddenLayers,
  )
  const { quantization_config: _, ...deepened } = architecture.deepenConfig(published, sources)
  const rawConfig = { ...deepened, ...dtypeKeys(deepened, DTYPES[spec.dtype].config) }
  const config = parseConfig(rawConfig, architecture.configRules, source)
  const dtype = DTYPES[spec.dtype].stored
  return { source, configText, rawConfig, config, architecture, dtype }
}

/** Its other parts are not known here, and a loader would miss them. */
function refuseWrapped({ wrapping, architectureName }: Architecture, source: string): void {
  if (wrapping === null) return
  throw new AppError(
    'unsupported_architecture',
    'Only text models can be written with random weights.',
    {
      hint: 'Take the config of a text model, or what this one has under text_config with a model_type of its own.',
      context: { file: source, expected: 'a text model', actual: architectureName },
    },
  )
}

async function readConfigText(file: string): Promise<string> {
  return Buffer.from(await boundedRead(file, MAX_CONFIG_BYTES, 'bad_checkpoint')).toString()
}

function parseObject(text: string, source: string): RawConfig {
  let value: unknown
  try {
    value = parseLenientJson(Buffer.from(text)).value
  } catch (cause) {
    if (!(cause instanceof JsonProblem)) throw cause
    throw new AppError('bad_checkpoint', `${source} is not a config: ${cause.message}.`, {
      context: { file: source, actual: cause.message },
      cause,
    })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as RawConfig
  }
  throw new AppError('bad_checkpoint', `${source} is not a config: no JSON object.`, {
    context: { file: source, expected: 'a JSON object' },
  })
}

/** The dtype in whichever spelling the config has. */
function dtypeKeys(config: RawConfig, name: string): Record<string, string> {
  const keys = ['torch_dtype', 'dtype'].filter((key) => key in config)
  return Object.fromEntries((keys.length > 0 ? keys : ['torch_dtype']).map((key) => [key, name]))
}

/** Every tensor of the checkpoint, made when the writer asks for it; a few megabytes are held at a time. */
export function synthesizeTensors(plan: SynthesisPlan, seed: number): OutputTensor[] {
  const { architecture, config } = plan
  const { vocabSize, hiddenSize, numHiddenLayers } = config
  const matrix = (
    name: string,
    rows: number,
    columns: number,
    deviation = EMBEDDING_DEVIATION,
  ): OutputTensor => {
    const recipe = { family: name, layer: 0, rows, columns, deviation }
    return made(plan, name, [rows, columns], () => matrixBlocks(recipe, seed))
  }
  const vector = (name: string, size: number): OutputTensor =>
    made(plan, name, [size], () => [
      normVector({ family: name, layer: 0, size, level: 2, spread: 0.15 }, seed),
    ])
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) =>
    architecture.layerTensors(config, layer).map((tensor) => {
      const name = `${architecture.layerPrefix}${layer}.${tensor.suffix}`
      return made(plan, name, tensor.shape, () => layerValues(plan, tensor, layer, seed))
    }),
  )
  return [
    matrix(architecture.embedTokens, vocabSize, hiddenSize),
    ...besideLayers(architecture, config).map(({ name, shape: [rows = 1, columns] }) =>
      columns === undefined ? vector(name, rows) : matrix(name, rows, columns),
    ),
    ...layers.flat(),
    vector(architecture.finalNorm, hiddenSize),
    ...(config.tieWordEmbeddings
      ? []
      : [matrix(architecture.lmHead, vocabSize, hiddenSize, 0.7 / Math.sqrt(hiddenSize))]),
  ]
}

/** The values of a layer's tensor in blocks; each of the slots in it has a recipe of its own. */
function* layerValues(
  { architecture, config }: SynthesisPlan,
  { suffix, role, shape }: LayerTensor,
  layer: number,
  seed: number,
): Generator<Float32Array, void> {
  const { numHiddenLayers } = config
  if (role === 'norm' || role === 'qk_norm') {
    const [size = 1] = shape
    const place = { family: suffix, layer, size }
    // In trained models a layer's norms grow with depth.
    const level = 0.15 + (0.4 * layer) / numHiddenLayers
    yield role === 'norm'
      ? normVector({ ...place, level, spread: 0.15 }, seed)
      : normVector({ ...place, level: 1, spread: 0.3 }, seed)
    return
  }
  if (role === 'router') {
    const [rows = 1, columns = 1] = shape
    const deviation = 1 / Math.sqrt(columns)
    yield* matrixBlocks({ family: suffix, layer, rows, columns, deviation }, seed)
    return
  }
  if (role === 'kernel') {
    const [rows = 1, , taps = 1] = shape
    const deviation = 1 / Math.sqrt(taps)
    yield* matrixBlocks({ family: suffix, layer, rows, columns: taps, deviation }, seed)
    return
  }
  if (role === 'own' || role === 'buffer') {
    // Decays, steps and kernels of about one.
    const place = { family: suffix, layer, size: elementsOf(shape) }
    yield normVector({ ...place, level: 1, spread: 0.3 }, seed)
    return
  }
  const parts = partsOf(architecture.slotsOf(config, layer), role, suffix)
  // A bias of no slot is that of a kernel.
  if (parts.length === 0) {
    const place = { family: suffix, layer, size: elementsOf(shape) }
    yield biasVector({ ...place, level: 0, spread: OTHER_BIAS_SIZE }, seed)
  }
  for (const { id, span } of parts) {
    const family = parts.length === 1 ? suffix : `${suffix}/${id}`
    const [rows = 1, columns = 1] = span.shape
    if (role === 'weight') {
      const isWriter = architecture.residualWriters.includes(id)
      // What writes to the residual stream shrinks with depth, as in GPT-2's initialisation.
      const gain = isWriter ? 1 / Math.sqrt(2 * numHiddenLayers) : 1
      const deviation = gain / Math.sqrt(columns)
      yield* matrixBlocks({ family, layer, rows, columns, deviation }, seed)
    } else {
      const spread = BIAS_SIZES[id] ?? OTHER_BIAS_SIZE
      yield biasVector({ family, layer, size: rows, level: 0, spread }, seed)
    }
  }
}

/** A tensor whose values are made in blocks, in order. */
function made(
  { dtype }: SynthesisPlan,
  name: string,
  shape: readonly number[],
  blocks: () => Iterable<Float32Array>,
): OutputTensor {
  return {
    name,
    dtype,
    shape,
    byteLength: elementsOf(shape) * bytesPerElement(dtype),
    // The writer awaits the disk between chunks, which is when a cancel arrives.
    // eslint-disable-next-line @typescript-eslint/require-await
    content: async function* () {
      yield* blocks()
    },
  }
}
