/** @file The part of a model card that tells a training. */
import type { MeasuredText, TRAINED_PARTS, TrainingRecord } from '@shared/pretraining'
import { formatBytes, formatCount, formatNumber } from '@shared/units'
import { oneLine, table } from './markdown'

const SCHEDULE_WORDS: Readonly<Record<TrainingRecord['schedule'], string>> = {
  wsd: 'warm-up, stable, decay',
  cosine: 'cosine',
  constant: 'constant',
}

const PART_WORDS: Readonly<Record<(typeof TRAINED_PARTS)[number], string>> = {
  all: 'all weights of these layers',
  norms: 'only the norms of these layers',
}

/**
 * The section of a model's training.
 *
 * @param earlier Trainings of the model before this one.
 */
export function trainingSection(record: TrainingRecord, earlier: number): string {
  const title = earlier === 0 ? '## Training' : `## Training ${earlier + 1}`
  const { loss, trained_layers: layers } = record
  const [beta1, beta2] = record.betas
  const warmup = record.warmup === 0 ? 'none' : `${record.warmup} steps`
  return [
    [title],
    [
      `Then trained for ${countOf(record.steps, 'step')} on ${formatCount(record.tokens)} tokens (repetitions counted): ` +
        `${PART_WORDS[record.trained_parts]}: ${rangesOf(layers)}. Everything else is as it was, bit for bit.`,
    ],
    [
      table(
        ['Text', 'Size', 'Documents', 'Tokens'],
        record.texts.map(({ name, bytes, documents, tokens }) => [
          name,
          formatBytes(bytes),
          String(documents),
          String(tokens),
        ]),
      ),
    ],
    [
      table(
        ['Setting', 'Value'],
        [
          ['learning rate', formatNumber(record.lr)],
          ...(record.output_lr_factor === 1
            ? []
            : [['… of zero output matrices', `× ${record.output_lr_factor}`]]),
          ['schedule', `${SCHEDULE_WORDS[record.schedule]}; warm-up ${warmup}`],
          ['windows', `${record.batch} of ${record.context} tokens a step, ${record.order}`],
          ['optimiser', `AdamW, β ${beta1} and ${beta2}, ε ${formatNumber(record.epsilon)}`],
          ['weight decay', String(record.weight_decay)],
          ['longest gradient', record.clip === 0 ? 'any' : String(record.clip)],
          ['seed', String(record.seed)],
          ['device', record.device],
        ],
      ),
    ],
    [
      table(
        ['Loss (nats per token)', 'Before', 'After'],
        [
          ['of the first and the last step', fixed(loss.first), fixed(loss.last)],
          ...measuredRow('evaluation', record.eval),
          ...measuredRow('forgetting', record.forgetting),
        ],
      ),
    ],
    [noteOf(record)],
  ]
    .map((lines) => lines.join('\n'))
    .join('\n\n')
}

/** What the figures do not show. */
function noteOf({ eval: measured, forgetting }: TrainingRecord): string {
  return [
    'What stands before this section was written before the training.',
    'One training with one seed: another one ends with slightly other losses.',
    measured === null
      ? 'Nothing was held back, so how well it predicts text that it has not seen is not known.'
      : 'A lower loss on text of this kind says nothing of what else the model can do.',
    ...(forgetting !== null ? [] : ['What it has forgotten of other texts was not measured.']),
  ].join(' ')
}

function measuredRow(what: string, measured: MeasuredText | null): string[][] {
  if (measured === null) return []
  const label = `${what}: ${oneLine(measured.text)} (${measured.tokens} tokens)`
  return [[label, fixed(measured.first), fixed(measured.last)]]
}

function fixed(loss: number): string {
  return loss.toFixed(4)
}

function countOf(count: number, unit: string): string {
  return count === 1 ? `1 ${unit}` : `${count} ${unit}s`
}

/** `4, 9–11` */
function rangesOf(layers: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const layer of layers) {
    const last = ranges.at(-1)
    if (last && layer === last[1] + 1) last[1] = layer
    else ranges.push([layer, layer])
  }
  return ranges.map(([a, b]) => (a === b ? String(a) : `${a}–${b}`)).join(', ')
}
