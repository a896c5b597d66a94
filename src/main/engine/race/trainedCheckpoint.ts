/** @file Writing a model whose layers were trained. */
import { cp, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError } from '@shared/errors'
import type { JobEvent, PretrainSpec } from '@shared/jobs'
import type { TrainingRecord } from '@shared/pretraining'
import { fewOf } from '@shared/text'
import { boundedRead } from '@system/boundedRead'
import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type {
  OutputTensor,
  PreparedOutput,
  WrittenCheckpoint,
} from '../checkpoint/CheckpointWriter'
import { bytesPerElement, isTensorDtype } from '../checkpoint/dtypes'
import type { Sidecars } from '../checkpoint/sidecars'
import { PREDICTORS } from '../export/exportPlan'
import { pipelineTagOf, writeFrontMatter } from '../growth/frontMatter'
import { withTraining, type LesaFile } from '../growth/lesaFile'
import { oneLine } from '../growth/markdown'
import { trainingSection } from '../growth/trainingSection'
import { writing } from '../growth/writing'
import type { LayerTrainer } from '../pretraining/LayerTrainer'
import { trainedInputs } from '../pretraining/memory'

const MAX_CARD_BYTES = 4e6

/** What is written of a model beside its weights. */
export interface TrainedModel {
  readonly checkpoint: Checkpoint
  readonly sidecars: Sidecars
  readonly lesa: LesaFile | null
  /** Names of the tensors that were trained. */
  readonly trained: ReadonlySet<string>
}

/** Names of the tensors that a training moves. */
export function trainedTensors(
  checkpoint: Checkpoint,
  {
    layers,
    parts,
  }: { readonly layers: readonly number[]; readonly parts: PretrainSpec['trainedParts'] },
): Set<string> {
  return new Set(
    layers.flatMap((layer) =>
      trainedInputs(checkpoint, parts, layer).map(({ tensor }) =>
        checkpoint.layerTensorName(layer, tensor),
      ),
    ),
  )
}

/**
 * Writes the model, what was trained in its own element types, and everything else byte for byte as it is.
 *
 * @param values Of a trained tensor.
 * @throws AppError `numeric_failure` for trained values that are not finite, and what the writer throws; the output is
 *   not made then.
 */
export async function* writeTrained(
  { checkpoint, sidecars, lesa, trained }: TrainedModel,
  {
    values,
    record,
    output,
    spec,
    step,
    signal,
  }: {
    readonly values: LayerTrainer['values']
    readonly record: TrainingRecord
    readonly output: PreparedOutput
    readonly spec: Pick<PretrainSpec, 'overwrite' | 'maxShardBytes'>
    /** The job's step that tells how far it is. */
    readonly step: string
    readonly signal: AbortSignal
  },
): AsyncGenerator<JobEvent, WrittenCheckpoint> {
  const predictors = join(checkpoint.path, PREDICTORS)
  if ((await stat(predictors).catch(() => null))?.isDirectory()) {
    await cp(predictors, join(output.partial, PREDICTORS), { recursive: true })
  }
  const card = await cardOf(checkpoint)
  const { architectureName, numHiddenLayers } = checkpoint.config
  const events = writing(
    signal,
    {
      out: output.out,
      overwrite: spec.overwrite,
      prepared: output,
      tensors: contentsOf(checkpoint, trained, values),
      config: checkpoint.rawConfig,
      sidecarsFrom: checkpoint,
      sidecars,
      files: (_, nonFinite) => {
        refuseNonFinite(nonFinite.filter((name) => trained.has(name)))
        const model = { architecture: architectureName, layers: numHiddenLayers }
        const section = trainingSection(record, lesa?.trainings.length ?? 0)
        return {
          'README.md': `${card.trimEnd()}\n\n${section}\n`,
          'lesa.json': withTraining(lesa, model, record),
        }
      },
      maxShardBytes: spec.maxShardBytes,
    },
    step,
  )
  try {
    return yield* events
  } catch (error) {
    const isRange = error instanceof AppError && error.context?.field === 'dtype'
    if (!isRange) throw error
    throw new AppError('numeric_failure', `Trained ${error.message.replace(/^W/, 'w')}`, {
      hint: 'Write the model as BF16 or F32 before it is trained, or train with a lower learning rate (--lr).',
      context: { ...error.context, file: checkpoint.path },
      cause: error,
    })
  }
}

/** Bytes of all tensors that are written. */
export function trainedBytes(checkpoint: Checkpoint, trained: ReadonlySet<string>): number {
  const none = (): Promise<null> => Promise.resolve(null)
  return contentsOf(checkpoint, trained, none).reduce((sum, { byteLength }) => sum + byteLength, 0)
}

function contentsOf(
  checkpoint: Checkpoint,
  trained: ReadonlySet<string>,
  values: LayerTrainer['values'],
): OutputTensor[] {
  const produced = (name: string) =>
    async function* (): AsyncGenerator<Float32Array> {
      const all = await values(name)
      if (!all) throw new AppError('bug', `"${name}" was not trained.`)
      yield all
    }
  const stored = [...checkpoint.tensors.values()].map((tensor): OutputTensor => {
    const { name, dtype, shape, byteLength } = tensor
    const content = trained.has(name) ? produced(name) : { copy: tensor }
    return { name, dtype, shape, byteLength, content }
  })
  // Biases that the files leave out are zero; once they are trained they are not.
  const added = [...checkpoint.zeros]
    .filter(([name]) => trained.has(name))
    .map(([name, count]): OutputTensor => {
      const dtype = dtypeBeside(checkpoint, name)
      const shape = [count]
      const byteLength = elementsOf(shape) * bytesPerElement(dtype)
      return { name, dtype, shape, byteLength, content: produced(name) }
    })
  return [...stored, ...added]
}

/** The element type of the weight that a bias belongs to. */
function dtypeBeside({ tensors }: Checkpoint, bias: string): 'BF16' | 'F16' | 'F32' {
  const dtype = tensors.get(bias.replace(/\.bias$/, '.weight'))?.dtype
  return dtype !== undefined && isTensorDtype(dtype) ? dtype : 'F32'
}

function refuseNonFinite(tensors: readonly string[]): void {
  if (tensors.length === 0) return
  throw new AppError('numeric_failure', 'Trained weights are not finite in their element type.', {
    hint: 'Train with a lower learning rate (--lr), or write the model as BF16 or F32 before.',
    context: { tensor: fewOf(tensors), expected: 'finite numbers', actual: 'NaN or infinities' },
  })
}

/** The model's own card; of one that has none a title, and what hubs read. */
async function cardOf({ path, architecture }: Checkpoint): Promise<string> {
  try {
    const bytes = await boundedRead(join(path, 'README.md'), MAX_CARD_BYTES, 'bad_checkpoint')
    return Buffer.from(bytes).toString()
  } catch {
    const head = writeFrontMatter({
      library_name: 'transformers',
      pipeline_tag: pipelineTagOf(architecture),
    })
    return `${head}\n\n# ${oneLine(basename(path))}`
  }
}
