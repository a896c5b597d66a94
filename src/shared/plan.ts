import { AppError } from './errors'
import type { Method, MethodSpec } from './methods'

/**
 * One layer of the grown model. `source` is the layer of the base model that it is, copies, or (for a computed layer)
 * whose place and attention type it inherits: the left neighbour.
 */
export type PlannedLayer = GrownLayer & {
  /** `7` for base layer 7, `7½` for one computed half way to layer 8, `7+` for a copy of 7. */
  readonly label: string
}

type GrownLayer =
  | { readonly kind: 'original'; readonly source: number }
  /** A copy of `source`, as it is. */
  | { readonly kind: 'copy'; readonly source: number }
  /** A copy of `source` whose `o_proj` and `down_proj` are zero, so that it passes its input on (LLaMA Pro). */
  | { readonly kind: 'identity'; readonly source: number }
  /** Computed from two layers of the grown model, given by their indices in it. */
  | {
      readonly kind: 'computed'
      readonly source: number
      readonly left: number
      readonly right: number
      /** Base layers that enclose the gap, `gap` and `gap + 1`. */
      readonly gap: number
      /** Bisection depth; layers of a lower depth are computed first. */
      readonly depth: number
      /** Where it lies between base layers `gap` (0) and `gap + 1` (1): ½ when it is alone, then by bisection. */
      readonly position: number
    }

export interface ExpansionPlan {
  readonly method: Method
  /** The grown model's layers, first to last. */
  readonly layers: readonly PlannedLayer[]
  /** Indices in the grown model of the layers that the base model does not have. */
  readonly newLayers: readonly number[]
  /** The parameters that were used, defaults filled in, for the model card. */
  readonly resolved: Readonly<Record<string, number | readonly number[]>>
}

/** The later half's gaps, one layer each, ending before the last layer: 12 layers → 5 … 10; 32 → 15 … 30. */
export function defaultGaps(layerCount: number): number[] {
  const count = Math.floor(layerCount / 2)
  return Array.from({ length: count }, (_, index) => layerCount - 1 - count + index)
}

/** Parses `5-10` or `3,7,7` (ranges and single gaps mix). Throws `bad_request` when it is neither. */
export function parseGaps(text: string): number[] {
  const gaps: number[] = []
  for (const part of text.split(',')) {
    const match = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(part)
    const first = Number(match?.[1])
    const last = Number(match?.[2] ?? match?.[1])
    if (!match || last < first || last - first > 10_000) {
      throw badPlan(
        'gaps',
        'gaps such as 5-10 or 3,7,7',
        part.trim() === '' ? 'nothing' : part.trim(),
      )
    }
    for (let gap = first; gap <= last; gap += 1) gaps.push(gap)
  }
  return gaps
}

/** `[5,6,7,9,9]` → `5-7,9,9`. */
export function formatGaps(gaps: readonly number[]): string {
  const parts: string[] = []
  let index = 0
  while (index < gaps.length) {
    let end = index
    while (end + 1 < gaps.length && gaps[end + 1] === (gaps[end] ?? NaN) + 1) end += 1
    const [first, last] = [gaps[index] ?? 0, gaps[end] ?? 0]
    parts.push(end > index ? `${first}-${last}` : String(first))
    index = end + 1
  }
  return parts.join(',')
}

/**
 * Lays out the grown model: which layer is an original, which a copy and which is to be computed.
 *
 * @param layerCount `num_hidden_layers` of the base model.
 * @throws AppError `bad_request` when a parameter does not fit the depth.
 */
export function planExpansion(spec: MethodSpec, layerCount: number): ExpansionPlan {
  switch (spec.name) {
    case 'lesa':
    case 'noise':
      checkHoldout(spec.holdout, layerCount)
      return planComputed(spec.name, spec.gaps, layerCount)
    case 'neighbour-mean':
      return planComputed(spec.name, spec.gaps, layerCount)
    case 'interpolation': {
      const gaps = checkGaps(spec.gaps ?? defaultGaps(layerCount), layerCount)
      return finish(spec.name, insertAfter(gaps, layerCount, 'copy'), { gaps })
    }
    case 'llama-pro': {
      // Block expansion (Wu et al. 2024): g groups, an identity copy of each group's last layer after it.
      const groups = spec.groups ?? Math.max(1, Math.floor(layerCount / 4))
      if (groups > layerCount) {
        throw badPlan('groups', `at most ${layerCount} groups, one per layer`, String(groups))
      }
      const lasts = Array.from(
        { length: groups },
        (_, group) => Math.floor(((group + 1) * layerCount) / groups) - 1,
      )
      return finish(spec.name, insertAfter(lasts, layerCount, 'identity'), { groups, after: lasts })
    }
    case 'solar': {
      // Depth up-scaling (Kim et al. 2023): the first N−m layers, then the last N−m of a second copy.
      const overlap = spec.overlap ?? Math.floor(layerCount / 4)
      if (overlap * 2 > layerCount) {
        throw badPlan(
          'overlap',
          `at most ${Math.floor(layerCount / 2)}, half the layers`,
          String(overlap),
        )
      }
      const sources = [...range(0, layerCount - overlap), ...range(overlap, layerCount)]
      return finish(spec.name, withRepeats(sources), { overlap })
    }
    case 'stack': {
      const [first, last] = spec.repeat ?? [layerCount - Math.floor(layerCount / 2), layerCount - 1]
      if (first > last || last >= layerCount) {
        throw badPlan('repeat', `layers within 0-${layerCount - 1}`, `${first}-${last}`)
      }
      const sources = [
        ...range(0, last + 1),
        ...range(first, last + 1),
        ...range(last + 1, layerCount),
      ]
      return finish(spec.name, withRepeats(sources), { repeat: [first, last] })
    }
  }
}

function planComputed(
  method: Method,
  gaps: readonly number[] | undefined,
  layerCount: number,
): ExpansionPlan {
  if (layerCount < 3) {
    throw badPlan('model', 'a model of at least 3 layers', `${layerCount} layers`)
  }
  const checked = checkGaps(gaps ?? defaultGaps(layerCount), layerCount - 1)
  const layers: GrownLayer[] = []
  for (let source = 0; source < layerCount; source += 1) {
    const left = layers.length
    layers.push({ kind: 'original', source })
    const count = checked.filter((gap) => gap === source).length
    bisect(
      layers,
      source,
      { index: left, position: 0 },
      { index: left + count + 1, position: 1 },
      0,
    )
  }
  return finish(method, layers, { gaps: checked })
}

/** Fills the open places between `left` and `right` by halving: the middle first, then each side from its new neighbour. */
function bisect(layers: GrownLayer[], gap: number, left: Side, right: Side, depth: number): void {
  if (right.index - left.index < 2) return
  const middle = {
    index: (left.index + right.index) >> 1,
    position: (left.position + right.position) / 2,
  }
  bisect(layers, gap, left, middle, depth + 1)
  layers.push({
    kind: 'computed',
    source: gap,
    left: left.index,
    right: right.index,
    gap,
    depth,
    position: middle.position,
  })
  bisect(layers, gap, middle, right, depth + 1)
}

/** A neighbour: its index in the grown model, and where it lies between the base layers around the gap. */
interface Side {
  readonly index: number
  readonly position: number
}

function insertAfter(
  afters: readonly number[],
  layerCount: number,
  kind: 'copy' | 'identity',
): GrownLayer[] {
  const layers: GrownLayer[] = []
  for (let source = 0; source < layerCount; source += 1) {
    layers.push({ kind: 'original', source })
    for (const after of afters) if (after === source) layers.push({ kind, source })
  }
  return layers
}

/** The first time a layer appears it is the original; after that it is a copy. */
function withRepeats(sources: readonly number[]): GrownLayer[] {
  const seen = new Set<number>()
  return sources.map((source) => {
    const kind = seen.has(source) ? 'copy' : 'original'
    seen.add(source)
    return { kind, source }
  })
}

function finish(
  method: Method,
  layers: readonly GrownLayer[],
  resolved: ExpansionPlan['resolved'],
): ExpansionPlan {
  const newLayers = layers.flatMap((layer, index) => (layer.kind === 'original' ? [] : [index]))
  const labelled = layers.map((layer) => ({ ...layer, label: labelOf(layer) }))
  return { method, layers: labelled, newLayers, resolved }
}

const FRACTIONS: Readonly<Record<number, string>> = { 0.25: '¼', 0.5: '½', 0.75: '¾' }

function labelOf(layer: GrownLayer): string {
  switch (layer.kind) {
    case 'original':
      return String(layer.source)
    case 'copy':
    case 'identity':
      return `${layer.source}+`
    case 'computed': {
      const fraction = FRACTIONS[layer.position]
      return fraction === undefined ? String(layer.gap + layer.position) : `${layer.gap}${fraction}`
    }
  }
}

function checkGaps(gaps: readonly number[], limit: number): number[] {
  const outside = gaps.find((gap) => !Number.isInteger(gap) || gap < 0 || gap >= limit)
  if (outside !== undefined) throw badPlan('gaps', `gaps within 0-${limit - 1}`, String(outside))
  if (gaps.length === 0) throw badPlan('gaps', 'at least one gap', 'none')
  return [...gaps].sort((a, b) => a - b)
}

/** Only a layer with two neighbours can be predicted, and another such layer must be left to learn from. */
function checkHoldout(holdout: number | undefined, layerCount: number): void {
  if (holdout === undefined) return
  if (layerCount < 4) throw badPlan('model', 'at least 4 layers to hold one out', `${layerCount}`)
  if (holdout < 1 || holdout > layerCount - 2) {
    throw badPlan('holdout', `an inner layer, 1-${layerCount - 2}`, String(holdout))
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index)
}

function badPlan(field: string, expected: string, actual: string): AppError {
  return new AppError('bad_request', `${field}: expected ${expected}, found ${actual}.`, {
    context: { field, expected, actual },
  })
}
