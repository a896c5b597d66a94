/** @file Further checkpoints of the model that is grown, which predictors learn from too. */
import { AppError } from '@shared/errors'
import type { ExpandSpec } from '@shared/jobs'
import { isLearned, learns, METHODS } from '@shared/methods'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { identityOf } from '../checkpoint/identity'
import type { ModelConfig } from '../architectures/config'

/** What of the configs decides which matrices there are, and what their rows and columns are. */
const SHAPES = {
  architectureName: 'architectures',
  numHiddenLayers: 'num_hidden_layers',
  hiddenSize: 'hidden_size',
  intermediateSize: 'intermediate_size',
  numAttentionHeads: 'num_attention_heads',
  numKeyValueHeads: 'num_key_value_heads',
  headDim: 'head_dim',
} as const satisfies Partial<Record<keyof ModelConfig, string>>

/**
 * Opens a spec's further checkpoints; whoever asked closes them.
 *
 * @param checkpoint The one that is grown.
 * @throws AppError what opening one throws; `bad_request` for a method that learns nothing, and for a checkpoint that is
 *   there twice, wherever its copies lie; `shape_mismatch` for one of another shape.
 */
export async function openAlso(
  { method, also = [] }: Pick<ExpandSpec, 'method' | 'also'>,
  checkpoint: Checkpoint,
): Promise<readonly Checkpoint[]> {
  if (also.length === 0) return []
  if (!isLearned(method)) {
    throw new AppError('bad_request', `${method.name} learns nothing from further checkpoints.`, {
      hint: `Methods that do: ${METHODS.filter(learns).join(', ')}.`,
      context: { field: 'also', expected: 'none', actual: also.join(', ') },
    })
  }
  const opened: Checkpoint[] = []
  try {
    const known = new Map([[(await identityOf(checkpoint)).digest, checkpoint.path]])
    for (const path of also) {
      const further = await Checkpoint.open(path)
      opened.push(further)
      refuseOtherShape(checkpoint, further)
      const { digest } = await identityOf(further)
      const same = known.get(digest)
      if (same !== undefined) throw twice(further.path, same)
      known.set(digest, further.path)
    }
    return opened
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}

export async function closeAll(checkpoints: readonly Checkpoint[]): Promise<void> {
  for (const checkpoint of checkpoints) await checkpoint.close()
}

function refuseOtherShape(first: Checkpoint, further: Checkpoint): void {
  const refuse = (what: { field: string } | { tensor: string }, pair: [string, string]): never => {
    const [expected, actual] = pair
    const message = `${further.path} is no checkpoint of the same model: its shape is another one.`
    throw new AppError('shape_mismatch', message, {
      hint: `Give checkpoints with the architecture, the layers and the sizes of ${first.path}.`,
      context: { file: further.path, ...what, expected, actual },
    })
  }
  for (const [key, field] of Object.entries(SHAPES) as [keyof typeof SHAPES, string][]) {
    const [expected, actual] = [first.config[key], further.config[key]]
    if (expected !== actual) refuse({ field }, [String(expected), String(actual)])
  }
  // Configs may leave out what their tensors show.
  for (const { id, weight } of first.weightTypes.map((type) => first.slot(type))) {
    const own = further.slot(id).weight
    const texts = [weight, own].map(({ shape }) => `[${shape.join(', ')}]`) as [string, string]
    const tensor = further.layerTensorName(0, own.tensor)
    if (texts[0] !== texts[1] || weight.offset !== own.offset) refuse({ tensor }, texts)
  }
}

function twice(path: string, same: string): AppError {
  const message =
    path === same ? `${path} is given twice.` : `${path} holds the same checkpoint as ${same}.`
  return new AppError('bad_request', message, {
    hint: 'Further checkpoints have to be others: the same samples twice teach nothing.',
    context: { file: path, field: 'also', expected: 'another checkpoint', actual: same },
  })
}
