/** @file What a training elsewhere changed, in sentences. */
import type { DescentResult, LayerChange, WeightChange } from './jobs'
import { formatGaps } from './methods/gaps'

export interface DescentReading {
  /** What matters most, in one sentence. */
  readonly lead: string
  readonly sentences: readonly string[]
  /** Whether anything outside the new layers was changed. */
  readonly isTouched: boolean
}

/** Numbers of the original layers that were changed. */
export function touchedLayers({ layers }: Pick<DescentResult, 'layers'>): number[] {
  return layers.filter((one) => !one.is_new && one.is_changed).map(({ layer }) => layer)
}

/** What the numbers say. */
export function readDescent(result: DescentResult): DescentReading {
  const touched = touchedLayers(result)
  const isTouched = touched.length + result.outside.length > 0
  const trained = result.layers.filter((one) => one.is_new && one.is_changed)
  const isUnchanged = trained.length === 0 && !isTouched
  return {
    lead: isUnchanged
      ? `Nothing was changed: ${sameness(result)}.`
      : `${trainedClause(result, trained)}; ${originalsClause(result, touched, trained.length > 0)}.`,
    sentences: isUnchanged
      ? []
      : [...untrained(result), ...furthest(trained), ...touches(result), ...counts(result)],
    isTouched,
  }
}

/** `3.4 %` of the start's norm; what began at zero has none. */
export function formatRelative({ relative, change }: WeightChange): string {
  if (relative !== null) return formatShare(relative)
  return change === 0 ? '0 %' : 'from zero'
}

/** Two significant digits; above a hundred per cent none are left out. */
function formatShare(share: number): string {
  const percent = 100 * share
  if (percent === 0) return '0 %'
  if (percent < 0.001) return '< 0.001 %'
  return `${percent >= 99.5 ? Math.round(percent) : Number(percent.toPrecision(2))} %`
}

function trainedClause({ new_layers }: DescentResult, trained: readonly LayerChange[]): string {
  const all = new_layers.length
  if (trained.length === 0) {
    return all === 1 ? 'The new layer is as it was' : `None of the ${all} new layers was changed`
  }
  const shares = trained.map(({ relative }) => relative ?? 0)
  const [low, high] = [formatShare(Math.min(...shares)), formatShare(Math.max(...shares))]
  const by = low === high ? high : `${low.replace(' %', '')} to ${high}`
  const who =
    all === 1
      ? 'The new layer was'
      : trained.length === all
        ? `All ${all} new layers were`
        : `${trained.length} of ${all} new layers ${trained.length === 1 ? 'was' : 'were'}`
  return `${who} changed, by ${by} of ${trained.length === 1 ? 'its' : 'their'} norm`
}

function originalsClause(
  result: DescentResult,
  touched: readonly number[],
  isTrained: boolean,
): string {
  const { outside } = result
  if (touched.length + outside.length === 0) return sameness(result)
  const what = [
    ...(touched.length === 0
      ? []
      : [`original layer${touched.length === 1 ? '' : 's'} ${formatGaps(touched)}`]),
    ...outside.map(({ tensor }) => tensor),
  ]
  const isOne = touched.length + outside.length === 1
  return `${listed(what)} ${isOne ? 'was' : 'were'} changed${isTrained ? ' too' : ''}`
}

/** Of everything outside the new layers. */
function sameness({ converted, dtypes, rounded_to }: DescentResult): string {
  if (converted === 0) return 'every original weight is bit-identical'
  const into = rounded_to ?? dtypes.trained.join(' and ')
  return `every original weight is the start’s, ${rounded_to === null ? 'converted' : 'rounded'} from ${dtypes.start.join(' and ')} to ${into}`
}

function untrained({ layers, new_layers }: DescentResult): string[] {
  const same = layers.filter((one) => one.is_new && !one.is_changed).map(({ layer }) => layer)
  return same.length === 0 || same.length === new_layers.length
    ? []
    : [
        `New layer${same.length === 1 ? '' : 's'} ${formatGaps(same)} ${same.length === 1 ? 'is as it was' : 'are as they were'}.`,
      ]
}

/** Which of several moved most, and where in it. */
function furthest(trained: readonly LayerChange[]): string[] {
  const [most] = trained.toSorted((a, b) => (b.relative ?? 0) - (a.relative ?? 0))
  if (!most) return []
  const [part] = most.parts.toSorted((a, b) => b.change - a.change)
  const where = part ? `, most of it in ${part.part} (${formatRelative(part)})` : ''
  return [
    `Layer ${most.layer} ${trained.length > 1 ? 'moved furthest' : 'moved'}, ${formatRelative(most)} of its norm${where}.`,
  ]
}

function touches({ layers, outside }: DescentResult): string[] {
  return [
    ...layers
      .filter((one) => !one.is_new && one.is_changed)
      .map((one) => {
        const parts = one.parts.filter(({ change }) => change > 0)
        const named = parts.map((part) => `${part.part} ${formatRelative(part)}`)
        return `Layer ${one.layer} is an original and moved by ${formatRelative(one)} of its norm: ${few(named)}.`
      }),
    ...outside.map((one) => `${one.tensor} moved by ${formatRelative(one)} of its norm.`),
  ]
}

function counts({ identical, converted, dtypes, rounded_to }: DescentResult): string[] {
  const to = rounded_to ?? dtypes.trained.join(' or ')
  const clauses = [
    ...(identical > 0 ? [`${identical} bit-identical`] : []),
    ...(converted > 0 ? [`${converted} equal once converted to ${to}`] : []),
  ]
  return clauses.length === 0 ? [] : [`Tensors outside the new layers: ${clauses.join(', ')}.`]
}

function few(parts: readonly string[], most = 3): string {
  const more = parts.length - most
  return more > 0 ? `${parts.slice(0, most).join(', ')} and ${more} more` : parts.join(', ')
}

function listed(parts: readonly string[]): string {
  return parts.length < 2
    ? (parts[0] ?? '')
    : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}
