/** @file What is measured of the places where new layers can go; the names are those of the command line's JSON. */
import type { PairedDifference } from './difference'

/** A loss of the model with something done to it, beside the untouched model's on the same windows. */
export interface MeasuredLoss {
  /** Mean negative log-likelihood in nats; `null` where it is no number. */
  readonly loss: number | null
  /** Against the model as it is, with its 95 % interval; `null` below two windows. */
  readonly difference: PairedDifference | null
}

/** What a layer does. With x_l for what layer l is given, x_{l+1} for what it gives; all over the calibration tokens. */
export interface LayerScores {
  readonly layer: number
  /** Block influence: 1 − mean cos(x_l, x_{l+1}) (Men et al., ShortGPT, 2403.03853). */
  readonly influence: number
  /** Mean ‖x_{l+1} − x_l‖ / ‖x_l‖ (Csordás et al., 2505.13898). */
  readonly update: number
  /** With the layer left out. */
  readonly skip: MeasuredLoss
  /** With the layer applied twice. */
  readonly repeat: MeasuredLoss
}

/** A block that may go into a gap, and d(mean nll)/d(its strength) at 0: E⟨g, f(x)⟩. Below zero it lowers the loss. */
export interface CandidateScore {
  /** `copy`: of the layer before the gap; `mean`: of both neighbours; else the grown checkpoint's path. */
  readonly candidate: string
  readonly gradient: number
}

export interface GapScores {
  /** It lies after the layer of that number. */
  readonly gap: number
  /** Root mean square of ‖g‖ over tokens, g the slope of the summed nll at the gap. */
  readonly slope: number
  readonly candidates: readonly CandidateScore[]
  /** With one fitted LLaMA Pro block in the gap, and the step that was chosen for it; 0 where none helps. */
  readonly fit: MeasuredLoss & { readonly step: number }
  /** Cosine of both neighbours' matrices, all as one vector; `null` after the last layer, as the next. */
  readonly weight_cosine: number | null
  /** Linear CKA of what both neighbours give (Kornblith et al., 1905.00414). */
  readonly cka: number | null
}

/** Layers `first` … `end` − 1 run twice. */
export interface RepeatedBlock extends MeasuredLoss {
  readonly first: number
  readonly end: number
}

export interface PlacesReport {
  readonly num_hidden_layers: number
  /** Of each layer, in tokens; `null` for full attention. */
  readonly attention_windows: readonly (number | null)[]
  /** Tokens of a window. */
  readonly context: number
  /** Tokens of the text's three shares: for slopes, for the choice of steps, and for all losses told. */
  readonly tokens: {
    readonly calibration: number
    readonly search: number
    readonly measured: number
  }
  /** Mean nll of the measured windows, the model as it is. */
  readonly base_loss: number
  readonly layers: readonly LayerScores[]
  readonly gaps: readonly GapScores[]
  /** `[n − 1][l]`: mean angle between x_l and x_{l+n} over π (Gromov et al., 2403.17887). */
  readonly angular: readonly (readonly number[])[]
  /** Every block up to the length asked for (the map of RYS); single layers are {@link LayerScores.repeat}. */
  readonly repeats: readonly RepeatedBlock[]
}

/** What a project keeps of its last measurement. */
export interface MeasuredPlaces {
  /** The text's name. */
  readonly text: string
  readonly device: string
  /** Milliseconds since 1970. */
  readonly measuredAt: number
  readonly report: PlacesReport
}

/** What is said wherever scores or presets are. */
export const LITTLE_IS_KNOWN =
  'No study shows that any of these scores, or any of these presets, predicts which place is best after training.'

/** What decides where a preset puts layers. */
export interface PlacementRequest {
  /** Of the base model. */
  readonly layers: number
  /** Gaps that the method can fill: one for each layer, or one less where both neighbours are needed. */
  readonly slots: number
  /** New layers; more than there are gaps put several into each. */
  readonly count: number
  readonly report?: Pick<PlacesReport, 'gaps' | 'base_loss' | 'attention_windows'> | null
}

export const PLACEMENT_NAMES = ['late', 'middle', 'even', 'measured'] as const
export type PlacementName = (typeof PLACEMENT_NAMES)[number]

export interface PlacementPreset {
  readonly name: PlacementName
  readonly title: string
  readonly reason: string
  /** Who did so, with the number on arXiv. */
  readonly source: string
  /** Gaps in order; `null` where it takes a measurement that is not there, or one that says nothing. */
  readonly gapsFor: (request: PlacementRequest) => number[] | null
}

/** `count` of some places, as far apart as they can be, the last one among them; each several times where there are too few. */
function spread(places: readonly number[], count: number): number[] {
  return Array.from(
    { length: places.length === 0 ? 0 : count },
    (_, index) => places[Math.ceil(((index + 1) * places.length) / count) - 1]!,
  )
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index)

/** The later half's gaps that lie between two layers: 12 layers → 5 … 10. */
function late({ layers, count }: PlacementRequest): number[] {
  const gaps = upTo(Math.max(0, layers - 1)).slice(-Math.max(1, Math.floor(layers / 2)))
  return spread(gaps.length > 0 ? gaps : [0], count)
}

/** Neighbouring gaps around the middle, half of all at the most. */
function middle({ layers, count }: PlacementRequest): number[] {
  const between = Math.max(1, layers - 1)
  const width = Math.min(count, Math.max(1, Math.floor(layers / 2)))
  const first = Math.ceil((between - width) / 2)
  return spread(
    upTo(width).map((index) => first + index),
    count,
  )
}

/** Forward passes that a trained layer costs by itself: its own, and twice as much for its backward pass. */
const OWN_COST = 3

/**
 * What training a new layer in a gap costs beside the frozen model's forward pass, in forward passes of a layer: its own,
 * and the backward pass through all layers above it.
 */
export function trainingCost(layers: number, gap: number): number {
  return OWN_COST + (layers - 1 - gap)
}

/**
 * Gaps whose neighbours attend alike, so that the order of full and sliding-window layers is kept; the last one, which has
 * no right neighbour, too. All gaps where there is no other.
 */
export function suitableGaps(windows: readonly (number | null)[], slots: number): number[] {
  const all = upTo(slots)
  const between = all.filter((gap) => gap + 1 < windows.length && windows[gap] === windows[gap + 1])
  const last = all.filter((gap) => gap + 1 >= windows.length)
  return between.length > 0 || windows.length < 2 ? [...between, ...last] : all
}

/** The gaps of the largest gain for its cost; those that gain nothing last, the cheapest of them first. */
function measured({ layers, slots, count, report }: PlacementRequest): number[] | null {
  if (!report) return null
  const gainOf = (gap: number): number =>
    Math.max(0, report.base_loss - (report.gaps[gap]?.fit.loss ?? Infinity))
  const worth = suitableGaps(report.attention_windows, slots)
    .map((gap) => ({ gap, gain: gainOf(gap), cost: trainingCost(layers, gap) }))
    .sort((a, b) => b.gain / b.cost - a.gain / a.cost || a.cost - b.cost)
  if (!worth.some(({ gain }) => gain > 0)) return null
  return upTo(count)
    .map((index) => worth[index % worth.length]!.gap)
    .sort((a, b) => a - b)
}

export const PLACEMENT_PRESETS: readonly PlacementPreset[] = [
  {
    name: 'late',
    title: 'Late half',
    reason:
      'As LESA’s authors place theirs. The later layers change the stream least, and training is cheapest there: the backward pass ends at the lowest new layer.',
    source: 'LESA, 2502.13794; nearer the top trains faster: OpT-DeUS, 2508.08011',
    gapsFor: late,
  },
  {
    name: 'middle',
    title: 'Middle block',
    reason:
      'Where models that were grown by repeating their middle reason better, and where layers of finished models can be run twice. Neither was shown for new layers in a finished model.',
    source: 'MIDAS and LIDAS, 2512.08819; RYS (dnhkng, 2026)',
    gapsFor: middle,
  },
  {
    name: 'even',
    title: 'Even',
    reason:
      'As LLaMA Pro places its blocks, one after every few layers. Its authors do not claim that it is best.',
    source: 'LLaMA Pro, 2401.02415',
    gapsFor: ({ slots, count }) => spread(upTo(slots), count),
  },
  {
    name: 'measured',
    title: 'Measured',
    reason:
      'Where one fitted block lowers the loss on your text most for what training it costs. Blocks were tried one at a time: what several together give is not the sum.',
    source: 'Measured here; in our own trial it ranked gaps about as well as their depth does',
    gapsFor: measured,
  },
]
