import type { PlaceResult } from '@shared/jobs'
import { formatGaps } from '@shared/methods/gaps'
import {
  LITTLE_IS_KNOWN,
  PLACEMENT_PRESETS,
  type MeasuredLoss,
  type PlacementName,
  type PlacesReport,
} from '@shared/places'
import { formatDuration } from '@shared/units'
import { shortPath } from './results'
import { formatFields, formatTable, type Column } from './table'

/** Gaps that a preset suggests. */
export interface Suggestion {
  readonly preset: PlacementName
  /** Between two layers, so that any method can fill them; `null` where nothing can be said. */
  readonly gaps: readonly number[] | null
  /** The same with the place after the last layer, for methods that need no right neighbour. */
  readonly gaps_after_last: readonly number[] | null
  readonly reason: string
  readonly source: string
}

/** @param count New layers; without it half as many as there are. */
export function suggestionsOf(report: PlacesReport, count?: number): Suggestion[] {
  const layers = report.num_hidden_layers
  const request = { layers, count: count ?? Math.max(1, Math.floor(layers / 2)), report }
  return PLACEMENT_PRESETS.map(({ name, reason, source, gapsFor }) => ({
    preset: name,
    gaps: layers > 1 ? gapsFor({ ...request, slots: layers - 1 }) : null,
    gaps_after_last: gapsFor({ ...request, slots: layers }),
    reason,
    source,
  }))
}

const right = (title: string): Column => ({ title, align: 'right' })

export function formatPlaces(
  { model, text, report, device, seconds }: PlaceResult,
  suggestions: readonly Suggestion[],
  cwd: string,
): string {
  const { tokens } = report
  const fields = formatFields([
    ['model', shortPath(model, cwd)],
    ['text', shortPath(text, cwd)],
    [
      'tokens',
      `${tokens.calibration} for slopes, ${tokens.search} to choose steps, ${tokens.measured} for the losses, in windows of ${report.context}`,
    ],
    ['loss', `${report.base_loss.toFixed(4)} nats a token`],
    ['device', `${device.device} (${device.reason})`],
    ['time', formatDuration(seconds * 1000)],
  ])
  return [
    fields,
    `Layers: loss without the layer and with it twice, against ${report.base_loss.toFixed(4)}\n${layerTable(report)}`,
    `Gaps: loss with one fitted block after the layer\n${gapTable(report, cwd)}`,
    ...(report.repeats.some(({ first, end }) => end - first > 1)
      ? [`Blocks run twice: change of the loss, by first layer and length\n${blockTable(report)}`]
      : []),
    `Places for ${countOf(suggestions)} new layers, as --gaps takes them\n${suggestionTable(suggestions)}`,
    `${LITTLE_IS_KNOWN}\n`,
  ].join('\n')
}

function layerTable({ layers }: PlacesReport): string {
  return formatTable(
    ['layer', 'influence', 'update', 'skipped', '±', 'twice', '±'].map(right),
    layers.map(({ layer, influence, update, skip, repeat }) => [
      String(layer),
      influence.toFixed(4),
      update.toFixed(4),
      ...changed(skip),
      ...changed(repeat),
    ]),
  )
}

function gapTable({ gaps }: PlacesReport, cwd: string): string {
  const names = [...new Set(gaps.flatMap(({ candidates }) => candidates.map((c) => c.candidate)))]
  const ordered = ['copy', 'mean', ...names.filter((name) => name !== 'copy' && name !== 'mean')]
  return formatTable(
    [
      right('gap'),
      right('fitted'),
      right('±'),
      right('step'),
      right('slope'),
      ...ordered.map((name) => right(`g·${shortPath(name, cwd)}`)),
      right('weights'),
      right('CKA'),
    ],
    gaps.map(({ gap, fit, slope, candidates, weight_cosine: cosine, cka }) => [
      String(gap),
      ...changed(fit),
      String(Number(fit.step.toPrecision(3))),
      slope.toPrecision(3),
      ...ordered.map((name) =>
        short(candidates.find(({ candidate }) => candidate === name)?.gradient),
      ),
      cosine?.toFixed(3) ?? '–',
      cka?.toFixed(3) ?? '–',
    ]),
  )
}

function blockTable({ repeats, num_hidden_layers: layers }: PlacesReport): string {
  const longest = Math.max(...repeats.map(({ first, end }) => end - first))
  const of = (first: number, length: number): MeasuredLoss | undefined =>
    repeats.find((block) => block.first === first && block.end === first + length)
  const lengths = Array.from({ length: longest }, (_, index) => index + 1)
  return formatTable(
    [right('first'), ...lengths.map((length) => right(String(length)))],
    Array.from({ length: layers }, (_, first) => [
      String(first),
      ...lengths.map((length) => {
        const block = of(first, length)
        return block ? (changed(block)[0] ?? '') : ''
      }),
    ]),
  )
}

function suggestionTable(suggestions: readonly Suggestion[]): string {
  return formatTable(
    [{ title: 'preset' }, { title: 'gaps' }, { title: 'with the end' }, { title: 'source' }],
    suggestions.map(({ preset, gaps, gaps_after_last: all, source }) => [
      preset,
      gaps ? formatGaps(gaps) : 'no block helps: nothing to say',
      all && formatGaps(all) !== formatGaps(gaps ?? []) ? formatGaps(all) : '–',
      source,
    ]),
  )
}

function countOf(suggestions: readonly Suggestion[]): number {
  return suggestions[0]?.gaps_after_last?.length ?? 0
}

/** How far a loss moves, and half of its interval. */
function changed({ loss, difference }: MeasuredLoss): [change: string, half: string] {
  if (loss === null) return ['not finite', '–']
  if (!difference) return [loss.toFixed(4), '–']
  const { mean, low, high } = difference
  return [signed(mean), ((high - low) / 2).toFixed(4)]
}

function signed(value: number): string {
  const text = value.toFixed(4)
  return value >= 0 ? `+${text}` : text
}

function short(value: number | undefined): string {
  return value === undefined ? '–' : value.toPrecision(3)
}
