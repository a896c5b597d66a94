import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceDecision } from '@shared/devices'
import type { ExpandResult, ExpandSpec, JobEvent, PredictorReport } from '@shared/jobs'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import { FEW_STEPS } from '@shared/predictorSettings'
import { WEIGHT_TYPES, type WeightType } from '@shared/weightTypes'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { prepareOutput, writeCheckpoint, type PreparedOutput } from '../checkpoint/CheckpointWriter'
import { encodeFromFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { assemble, outputDtype, tiedHead } from '../export/assemble'
import { writePredictor } from '../export/predictorFile'
import { exportData, modelCard } from '../export/record'
import { learnedSteps, predictWeightType } from '../methods/learned'
import { LayerWeights } from '../methods/LayerWeights'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { ENGINE_VERSION } from '../version'
import type { JobEnv } from './JobEnv'
import { reporting } from './reporting'

/** The paper's stated limit: nothing is known of LESA beyond three times the depth (ACL 2025, Limitations). */
const MAX_KNOWN_GROWTH = 3

/** What writing costs beside computing, in the unit of the learned steps (floating-point operations a byte). */
const WRITE_COST_PER_BYTE = 100

/** Grows a checkpoint by any method and writes the result as a Hugging Face folder. */
export async function* expand(
  spec: ExpandSpec,
  { signal }: JobEnv,
): AsyncGenerator<JobEvent, ExpandResult> {
  const started = performance.now()
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    const plan = planExpansion(spec.method, checkpoint.config.numHiddenLayers)
    const output = await prepareOutput(spec.out, {
      overwrite: spec.overwrite,
      model: checkpoint.path,
    })
    try {
      return yield* grow({ spec, checkpoint, plan, output, signal, started })
    } finally {
      // Nothing is left of an output that was not committed.
      await output.discard()
    }
  } finally {
    await checkpoint.close()
  }
}

interface Growth {
  readonly spec: ExpandSpec
  readonly checkpoint: Checkpoint
  readonly plan: ExpansionPlan
  readonly output: PreparedOutput
  readonly signal: AbortSignal
  /** `performance.now()` at the job's start. */
  readonly started: number
}

interface Learned {
  readonly device: DeviceDecision | null
  readonly predictors: readonly PredictorReport[]
  readonly warnings: readonly string[]
}

async function* grow(growth: Growth): AsyncGenerator<JobEvent, ExpandResult> {
  const { spec, checkpoint, plan, output, signal, started } = growth
  const { method } = spec
  const steps =
    method.name === 'lesa' || method.name === 'noise' ? learnedSteps(checkpoint, plan, method) : []
  const { bytes: bytesBefore } = checkpoint.summarize()
  yield {
    type: 'plan',
    steps: [
      ...steps,
      { id: 'write', label: 'write checkpoint', weight: bytesBefore * WRITE_COST_PER_BYTE },
    ],
  }
  const learned = yield* learn(growth)
  const head = await tiedHead(checkpoint)
  const tensors = assemble({
    checkpoint,
    plan,
    rest: spec.rest,
    dtype: spec.dtype,
    predictedFile: (index, type) => predictedFile(output, index, type),
    dropped: new Set(head === 'repeats_embeddings' ? [checkpoint.architecture.lmHead] : []),
  })
  const parameters = tensors.reduce(
    (sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1),
    0,
  )
  const record = {
    spec,
    plan,
    architecture: checkpoint.config.architectureName,
    layersBefore: checkpoint.config.numHiddenLayers,
    parameters,
    dtypes: [...new Set(tensors.map(({ dtype }) => dtype))],
    engineVersion: ENGINE_VERSION,
    perplexities: [],
    ...learned,
  }
  const written = yield* reporting<JobEvent, Awaited<ReturnType<typeof writeCheckpoint>>>(
    signal,
    (report) => {
      let last = -1
      return writeCheckpoint({
        out: spec.out,
        overwrite: spec.overwrite,
        prepared: output,
        tensors,
        config: configOf(growth, head === 'differs'),
        sidecarsFrom: checkpoint,
        files: {
          'README.md': modelCard(record),
          'lesa.json': `${JSON.stringify(exportData(record), null, 2)}\n`,
        },
        maxShardBytes: spec.maxShardBytes,
        signal,
        onProgress: (done, total) => {
          // A report for each hundredth; the writer does not wait for them.
          const hundredth = Math.floor((100 * done) / total)
          if (hundredth === last) return
          last = hundredth
          void report({ type: 'step', id: 'write', done, total }).catch(() => undefined)
        },
      })
    },
  )
  yield { type: 'artifact', path: written.out, sizeBytes: written.bytes }
  return {
    kind: 'expand',
    out: written.out,
    method: method.name,
    num_hidden_layers: plan.layers.length,
    new_layers: plan.newLayers,
    parameters: written.parameters,
    bytes: written.bytes,
    shards: written.shards,
    seed: spec.seed,
    seconds: (performance.now() - started) / 1000,
    ...learned,
  }
}

/** Trains and predicts where the method asks for it; the new matrices lie in the output's scratch folder afterwards. */
async function* learn(growth: Growth): AsyncGenerator<JobEvent, Learned> {
  const { spec, checkpoint, plan, output, signal } = growth
  const { method } = spec
  const warnings = growthWarnings(plan, checkpoint)
  for (const text of warnings) yield { type: 'log', level: 'warning', text }
  if (method.name !== 'lesa' && method.name !== 'noise')
    return { device: null, predictors: [], warnings }
  const device = await chooseDevice(spec.device)
  yield { type: 'device', decision: device }
  const predictorFolder = join(output.partial, 'lesa')
  await mkdir(predictorFolder, { recursive: true })
  const runtime = await Runtime.open(device.device)
  const predictors: PredictorReport[] = []
  try {
    for (const type of WEIGHT_TYPES) {
      const report = yield* predictWeightType(
        {
          runtime,
          checkpoint,
          plan,
          method,
          seed: spec.seed,
          signal,
          keepWeights: (index, weightType, weights) =>
            keepWeights(growth, index, weightType, weights),
          keepPredictor: (weightType, predictor) =>
            writePredictor(join(predictorFolder, `predictor-${weightType}.safetensors`), predictor),
        },
        type,
      )
      predictors.push(report)
    }
  } finally {
    await runtime.dispose()
  }
  const few = predictors.filter(({ steps }) => steps < FEW_STEPS)
  if (few.length > 0) {
    const least = few.reduce((most, { steps }) => Math.min(most, steps), Infinity)
    const text =
      `${few.length} of ${predictors.length} predictors trained for fewer than ${FEW_STEPS} mini-batches ` +
      `(${least} at the least; the paper's own runs had about 10,000): their predictions stay close to chance. ` +
      'The preset "matched" trains as long as the paper did, whatever the model\'s size.'
    warnings.push(text)
    yield { type: 'log', level: 'warning', text }
  }
  return { device, predictors, warnings }
}

function growthWarnings(plan: ExpansionPlan, checkpoint: Checkpoint): string[] {
  const growthFactor = plan.layers.length / checkpoint.config.numHiddenLayers
  return growthFactor > MAX_KNOWN_GROWTH
    ? [
        `The model grows ${growthFactor.toFixed(1)}×; the method has not been tried beyond ${MAX_KNOWN_GROWTH}×.`,
      ]
    : []
}

/** A predicted matrix in its output dtype, until the writer puts it into a shard. */
async function keepWeights(
  { spec, checkpoint, plan, output }: Growth,
  index: number,
  type: WeightType,
  weights: Float32Array,
): Promise<void> {
  const source = new LayerWeights(checkpoint, type).nameOf(plan.layers[index]?.source ?? 0)
  const dtype = outputDtype(checkpoint.tensors.get(source)?.dtype ?? 'F32', spec.dtype)
  await writeFile(
    predictedFile(output, index, type),
    encodeFromFloat32(weights, isTensorDtype(dtype) ? dtype : 'F32'),
  )
}

function predictedFile({ scratch }: PreparedOutput, index: number, type: WeightType): string {
  return join(scratch, `${index}.${type}.bin`)
}

/** The config for the new depth; the dtype key changes, in the spelling it has, only when the tensors' dtype does. */
function configOf({ spec, checkpoint, plan }: Growth, untie: boolean): Record<string, unknown> {
  const sources = plan.layers.map(({ source }) => source)
  const config = checkpoint.architecture.deepenConfig(checkpoint.rawConfig, sources)
  if (spec.dtype !== 'keep') {
    const names = { bf16: 'bfloat16', f16: 'float16', f32: 'float32' }
    const key = 'dtype' in config && !('torch_dtype' in config) ? 'dtype' : 'torch_dtype'
    config[key] = names[spec.dtype]
    if ('dtype' in config) config['dtype'] = names[spec.dtype]
  }
  if (untie) config['tie_word_embeddings'] = false
  return config
}
