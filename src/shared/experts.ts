/** @file Whether the experts of neighbouring layers correspond, and what is said of it. */

/** Whether a weight type is of experts, each of which has a matrix of its own. */
export function isOfExperts(weightType: string): boolean {
  return weightType.startsWith('experts.')
}

/** How well the experts of two layers go together. */
export interface ExpertPairReport {
  /** Base layers. */
  readonly left: number
  readonly right: number
  /** Mean distance of an expert and the one that it is matched with: 0 for the same, 1 for ones that nothing connects. */
  readonly matched: number
  /** … of experts in random order: the mean over {@link RANDOM_ORDERS} of them. */
  readonly random: number
  /** … after matching distances that were shuffled, which nothing connects: less only with a chance of {@link CHANCE}. */
  readonly shuffled: number
}

export interface ExpertReport {
  readonly pairs: readonly ExpertPairReport[]
  /** How much nearer matched experts are than random ones: 1 − matched/random, of all pairs. */
  readonly gain: number
  /** Whether that is more than matching finds where there is nothing to find: in most pairs, and by a margin over all. */
  readonly isMeaningful: boolean
  /** Share of the experts whose match has another number. */
  readonly moved: number
}

/** How the routers of new layers were scaled on a text. */
export interface RoutingReport {
  readonly text: string
  readonly tokens: number
  readonly layers: readonly {
    /** In the grown model. */
    readonly layer: number
    /** Of the router's weights. */
    readonly factor: number
    readonly before: RouterChoice
    readonly after: RouterChoice
    /** The mean of both layers that the new one lies between, in the base model. */
    readonly neighbours: RouterChoice
  }[]
}

export interface RouterChoice {
  /** Of the softmax over all experts, in nats, the mean over tokens. */
  readonly entropy: number
  /** Share of all choices that go to the expert which is chosen most. */
  readonly busiest: number
}

/** `layer 4 × 1.02 (entropy 2.07 → 2.06 nats, beside it 2.06; busiest expert 19 %, beside it 25 %)` */
function describeRouter({
  layer,
  factor,
  before,
  after,
  neighbours,
}: RoutingReport['layers'][number]): string {
  const busiest = ({ busiest: share }: RouterChoice): string => `${(100 * share).toFixed(0)} %`
  return `layer ${layer} × ${factor.toPrecision(3)} (entropy ${before.entropy.toFixed(2)} → ${after.entropy.toFixed(2)} nats, beside it ${neighbours.entropy.toFixed(2)}; busiest expert ${busiest(after)}, beside it ${busiest(neighbours)})`
}

const scaledOn = ({ tokens, text }: RoutingReport): string =>
  `The routers of new layers were scaled on ${tokens} tokens of ${text}`

export function describeRouting(report: RoutingReport): string {
  return `${scaledOn(report)}: ${report.layers.map(describeRouter).join(', ')}.`
}

/**
 * What a result says of experts that its warnings do not: that they correspond, and how routers were scaled, a line for each
 * of them.
 */
export function readExperts({
  experts,
  routing,
}: {
  readonly experts?: ExpertReport
  readonly routing?: RoutingReport
}): { readonly match: string | null; readonly routing: string | null; readonly routers: string[] } {
  return {
    match: experts?.isMeaningful === true ? describeExperts(experts, false) : null,
    routing: routing
      ? `${scaledOn(routing)}, so that they decide as sharply as those beside them:`
      : null,
    routers: routing?.layers.map(describeRouter) ?? [],
  }
}

/** Random orders, and shuffled distances, that a match is compared with. */
export const RANDOM_ORDERS = 100

/** Of what matching finds among shuffled distances, the share that may be nearer. */
export const CHANCE = 0.05

/** Less nearness than this beyond what chance finds is not worth going by. */
const LEAST_GAIN = 0.05

export function expertReport(pairs: readonly ExpertPairReport[], moved: number): ExpertReport {
  const sum = (of: (pair: ExpertPairReport) => number): number =>
    pairs.reduce((total, pair) => total + of(pair), 0)
  const gain =
    pairs.length === 0 ? 0 : 1 - sum(({ matched }) => matched) / sum(({ random }) => random)
  const found = pairs.filter(({ matched, shuffled }) => matched < shuffled).length
  const beyond =
    pairs.length === 0 ? 0 : 1 - sum(({ matched }) => matched) / sum(({ shuffled }) => shuffled)
  const isMeaningful = beyond >= LEAST_GAIN && found > pairs.length / 2
  return { pairs, gain, moved, isMeaningful }
}

/** @param copies Whether new layers take experts from one layer where matching means nothing. */
export function describeExperts(
  { pairs, gain, isMeaningful, moved }: ExpertReport,
  copies: boolean,
): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`
  const found = pairs.filter(({ matched, shuffled }) => matched < shuffled).length
  const measured = `matched experts of neighbouring layers are ${percent(gain)} nearer than in ${RANDOM_ORDERS} random orders, and nearer than 95 % of what matching finds among shuffled distances in ${found} of ${pairs.length} pairs of layers`
  if (isMeaningful) {
    return `Experts correspond along the layers: ${measured}; ${percent(moved)} of them have another number in the next layer.`
  }
  return `Matching experts means nothing here: ${measured}. ${copies ? 'New layers take the experts and the router of the layer before them as they are; only the rest is predicted.' : 'What is computed from matched experts is no more than a mixture of unrelated ones.'}`
}
