/** @file What `lesa compare` prints: what changed, layer by layer, and what it did to the loss. */
import { formatRelative, readDescent } from '@shared/descent'
import { pairedDifference, type PairedDifference } from '@shared/difference'
import { modelNameOf } from '@shared/hub'
import type { DescentResult, EvaluateResult, EvaluateSpec, LayerChange } from '@shared/jobs'
import { formatGaps } from '@shared/methods/gaps'
import { formatDuration } from '@shared/units'
import { sentenceOfTwo } from '@shared/verdictSentences'
import { formatEvaluation, verdictOf } from './evaluationResults'
import { shortPath } from './results'
import { formatFields, formatTable } from './table'

export function formatDescent(result: DescentResult, cwd: string): string {
  const { lead, sentences } = readDescent(result)
  const { dtypes, new_layers, num_hidden_layers } = result
  const fields = formatFields([
    ['trained', shortPath(result.trained, cwd)],
    ['start', shortPath(result.start, cwd)],
    ['layers', `${num_hidden_layers}, of which ${formatGaps(new_layers)} are new`],
    ['element types', `${dtypes.start.join(', ')} → ${dtypes.trained.join(', ')}`],
    ['time', formatDuration(result.seconds * 1000)],
  ])
  return [
    `${fields}\n`,
    formatLayers(result),
    formatOutside(result),
    `${lead}\n`,
    ...sentences.map((sentence) => `- ${sentence}\n`),
    ...result.warnings.map((warning) => `Note: ${warning}\n`),
  ].join('')
}

/** A row for each new layer, and for each original that was changed. */
function formatLayers({ layers }: DescentResult): string {
  const shown = layers.filter((one) => one.is_new || one.is_changed)
  const parts = [...new Set(shown.flatMap((one) => one.parts.map(({ part }) => part)))]
  // Weight types by their names; norms and biases are small, and what they did is in the whole layer's numbers.
  const types = parts.filter((part) => part.endsWith('_proj'))
  const right = 'right' as const
  const table = formatTable(
    [
      { title: 'layer', align: right },
      { title: 'is' },
      { title: '‖Δ‖', align: right },
      { title: 'of norm', align: right },
      { title: 'max |Δ|', align: right },
      ...types.map((title) => ({ title, align: right })),
    ],
    shown.map((one) => [
      String(one.layer),
      one.is_new ? 'new' : 'ORIGINAL',
      one.change.toPrecision(4),
      formatRelative(one),
      one.max.toPrecision(3),
      ...types.map((type) => ofPart(one, type)),
    ]),
  )
  return `${table}\nΔ: trained less start. of norm: ‖Δ‖ over the start’s norm, of the layer and of each weight type.\n\n`
}

function ofPart({ parts }: LayerChange, type: string): string {
  const found = parts.find(({ part }) => part === type)
  return found ? formatRelative(found) : ''
}

function formatOutside({ outside }: DescentResult): string {
  if (outside.length === 0) return ''
  const right = 'right' as const
  const table = formatTable(
    [
      { title: 'outside the layers' },
      { title: '‖Δ‖', align: right },
      { title: 'of norm', align: right },
      { title: 'max |Δ|', align: right },
    ],
    outside.map((one) => [
      one.tensor,
      one.change.toPrecision(4),
      formatRelative(one),
      one.max.toPrecision(3),
    ]),
  )
  return `${table}\n`
}

/** A text that base, start and trained model were measured on. */
interface Measured {
  readonly result: EvaluateResult
  /** Its models are the start and the trained one. */
  readonly spec: EvaluateSpec
  readonly cwd: string
}

export function formatMeasured(measured: Measured): string {
  const { result, spec, cwd } = measured
  const difference = sinceStart(measured)
  const [start, trained] = result.results
  const evaluation = formatEvaluation(result, { cwd, text: spec.text, base: spec.base })
  if (!difference || !start || !trained) return evaluation
  const name = modelNameOf(start.model)
  return spec.base === start.model
    ? `What is called the base below is the start, ${name}.\n${evaluation}`
    : `${evaluation}Since its start: ${sentenceOfTwo(modelNameOf(trained.model), name, difference)}\n`
}

/** The same for programs. */
export function measuredOf(measured: Measured): object {
  const { result, spec, cwd } = measured
  const { kind: _kind, ...measurements } = result
  return {
    text: spec.text,
    ...measurements,
    since_start: sinceStart(measured),
    verdict: verdictOf(result, { cwd, text: spec.text, base: spec.base }),
  }
}

/** Of the trained model's loss less the start's, window by window. */
function sinceStart({ result }: Measured): PairedDifference | null {
  const [start, trained] = result.results.map(({ window_nll = [], window_tokens = [] }) => ({
    windowNll: window_nll,
    windowTokens: window_tokens,
  }))
  return start && trained ? pairedDifference(trained, start) : null
}
