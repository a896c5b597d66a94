import type { DirectionProjection, RunAnalysis } from '@shared/analysis'
import { isOfExperts } from '@shared/experts'
import { NO_COSINE, usesPredictions } from '@shared/heldOut'
import { nameLayers } from '@shared/holdout'
import type { PredictorReport } from '@shared/jobs'
import { methodNamed, type Method } from '@shared/methods'
import { formatValue } from '../../lib/numbers'

/** A sentence about a picture, and whether it speaks for what the method does or against it. */
export interface Remark {
  readonly tone: 'neutral' | 'support' | 'against'
  readonly text: string
}

/** Norms within this factor of their neighbours' are alike. */
const ALIKE = 1.25

const neutral = (text: string): Remark => ({ tone: 'neutral', text })
const support = (text: string): Remark => ({ tone: 'support', text })
const against = (text: string): Remark => ({ tone: 'against', text })

/** What the paper's picture shows of one weight type, from the full space rather than from the plane. */
export function directionRemarks(projection: DirectionProjection): Remark[] {
  const { type, continuity, explained, predicted, method } = projection
  const ratio = continuity.neighbourDistance / continuity.anyDistance
  const share = percent(continuity.p)
  const figures =
    `Neighbouring base layers of ${type} are ${formatValue(ratio)} times as far apart as layers in ` +
    `any order, and ${share} of random orders are as smooth as the real one.`
  const remarks: Remark[] = [
    neutral(
      'What to look for: a path. Where neighbours lie close together in their order, a layer between two of them can be guessed from them.',
    ),
    continuity.verdict === 'clear'
      ? support(
          `${figures} The order of the layers shows, which speaks for predicting from neighbours.`,
        )
      : continuity.verdict === 'weak'
        ? neutral(
            `${figures} There is some order, but little: weak support for predicting from neighbours.`,
          )
        : against(
            `${figures} A random order would look as smooth: this picture gives no support to the prediction.`,
          ),
  ]
  if (method === 'tsne') {
    remarks.push(
      neutral(
        't-SNE keeps near points near. Distances across the picture and the shape of the path mean nothing; another seed gives another picture.',
      ),
    )
  } else if (explained) {
    const both = explained[0] + explained[1]
    remarks.push(
      neutral(
        `The plane holds ${percent(both)} of the base layers’ variance` +
          (both < 0.5 ? ', so most of what sets them apart is not to be seen here.' : '.'),
      ),
    )
  }
  if (predicted.length > 0) remarks.push(offMidpointRemark(predicted.map((p) => p.offMidpoint)))
  return remarks
}

function offMidpointRemark(values: readonly number[]): Remark {
  const mean = average(values)
  const figure = `On average a predicted layer is ${formatValue(mean)} half-distances away from the midpoint of its neighbours`
  if (mean < 0.2) {
    return neutral(
      `${figure}: it is practically their mean, and copying the mean would do as well.`,
    )
  }
  if (mean <= 1) return neutral(`${figure}: near them, without being their mean.`)
  return against(
    `${figure}, which is farther than the neighbours themselves: it does not lie between them.`,
  )
}

/** How the shared basis' energy is spread. */
export function spectrumRemarks(analysis: RunAnalysis, type: string): Remark[] {
  const { energy, rank } = analysis.types[type] ?? {}
  if (!energy || typeof rank !== 'number') return []
  const top = energy.y[0] ?? 0
  const at = energy.y.findIndex((share) => share >= 0.9)
  const directions = at < 0 ? rank : (energy.x[at] ?? 0) + 1
  const remarks = [
    neutral(
      `${type}: ${directions} of ${rank} directions hold 90 % of the energy; the first, which the picture of the layers shows, holds ${percent(top)}.`,
    ),
  ]
  if (directions > rank / 2) {
    remarks.push(
      neutral(
        'The spectrum is flat: no few directions carry the weights, and the first one says little about the rest.',
      ),
    )
  }
  return remarks
}

/** The new layers' norms beside those of their neighbours. */
export function normRemarks(analysis: RunAnalysis, type: string, method: Method): Remark[] {
  const norms = analysis.types[type]?.norms ?? []
  const ratios = newLayers(analysis).flatMap((index) => {
    const own = norms[index] ?? null
    const around = normsAround(analysis, norms, index)
    const mean = average(around)
    return own === null || around.length === 0 || mean === 0 ? [] : [own / mean]
  })
  if (ratios.length === 0) return []
  const mean = average(ratios)
  const figure = `New layers of ${type} have ${formatValue(mean)} times the norm of their neighbours on average`
  if (mean === 0) {
    return [
      neutral(`${type} of the new layers is zero: the new blocks pass their input on unchanged.`),
    ]
  }
  if (mean < 1 / ALIKE) return [against(`${figure}: ${SHRUNK[normCause(method)]}`)]
  if (mean > ALIKE) return [against(`${figure}: they are larger than the layers around them.`)]
  return [neutral(`${figure}: their size fits in.`)]
}

/** What decides how large a method's new layers are. */
function normCause(method: Method): keyof typeof SHRUNK {
  if (usesPredictions(method)) return 'predicted'
  switch (methodNamed(method).fill?.kind) {
    case 'noise':
      return 'noise'
    case 'elements':
    case 'matrices':
    case 'transported':
      return 'computed'
    default:
      return 'copied'
  }
}

/** Why new layers are smaller than those around them. */
const SHRUNK = {
  predicted: 'they have shrunk towards zero. The loss’s norm term (λ) is there to prevent it.',
  noise: 'they take the size of what LESA would make, which has shrunk towards zero.',
  computed:
    'what is computed from two layers is smaller than either where they have little in common.',
  copied: 'they are copies of layers that are smaller than those around them.',
} as const

/** How alike neighbouring matrices are, among the base's layers and around the new ones. */
export function cosineRemarks(analysis: RunAnalysis, type: string, method: Method): Remark[] {
  const { layers, types } = analysis
  const cosines = types[type]?.neighbourCosines ?? []
  const between = cosines.flatMap((cosine, index) =>
    cosine !== null && layers[index]?.isNew === false && layers[index + 1]?.isNew === false
      ? [cosine]
      : [],
  )
  const around = cosines.flatMap((cosine, index) =>
    cosine !== null && (layers[index]?.isNew === true || layers[index + 1]?.isNew === true)
      ? [cosine]
      : [],
  )
  const remarks: Remark[] = []
  if (between.length > 0) {
    const mean = average(between)
    const isUnlike = Math.abs(mean) < NO_COSINE
    const text =
      `Neighbouring base layers of ${type} have a mean cosine of ${formatValue(mean)}: ` +
      (isUnlike
        ? 'as whole matrices they have nothing in common, so a layer is no small change of the one before it.'
        : 'they resemble each other.')
    // Copies and noise rest on no likeness between neighbours; experts are in an order that means nothing.
    const restsOnLikeness =
      ['predicted', 'computed'].includes(normCause(method)) && !isOfExperts(type)
    remarks.push(restsOnLikeness ? (isUnlike ? against : support)(text) : neutral(text))
  }
  if (around.length > 0) {
    remarks.push(neutral(`Next to a new layer it is ${formatValue(average(around))}.`))
  }
  if (isOfExperts(type)) {
    remarks.push(
      neutral(
        'Experts are compared by their numbers, not as they were matched: other orders alone make two layers unlike.',
      ),
    )
  }
  return remarks
}

/** What the predictors' errors say, all weight types together. */
export function predictorRemarks(reports: readonly PredictorReport[]): Remark[] {
  if (reports.length === 0) return []
  const all = reports.length
  const useless = reports.filter(({ mse, mseOfZero }) => mse >= mseOfZero)
  const belowMean = reports.filter(({ mse, mseOfMean }) => mse < mseOfMean)
  const remarks: Remark[] = [
    neutral(
      'What to look for: points left of 1. There, predicting is better than predicting zero; left of the square it is better than the mean of the two neighbours.',
    ),
    useless.length === 0
      ? support(
          `On the samples they were trained on, all ${all} predictors are better than predicting zero, ${belowMean.length} of them better than the neighbours’ mean.`,
        )
      : against(
          `On the very samples they were trained on, ${useless.length} of ${all} predictors ${isOrAre(useless)} no better than predicting zero (${names(useless)}): nothing was learnt there that helps.`,
        ),
  ]
  return remarks
}

/** What the layers that were kept out of training say. */
export function heldOutRemarks(reports: readonly PredictorReport[]): Remark[] {
  const held = reports.flatMap(({ holdout }) => (holdout ? [holdout] : []))
  if (held.length === 0) return []
  const worse = held.filter(({ mse, mseOfZero }) => mse >= mseOfZero)
  const cosine = average(held.map((report) => report.cosine))
  const layers = held[0]?.layers.map(({ layer }) => layer) ?? []
  const one = layers.length === 1
  const remarks: Remark[] = []
  if (worse.length > 0) {
    remarks.push(
      against(
        `For ${nameLayers(layers)}, which they have never seen, ${worse.length} of ${held.length} predictors ${isOrAre(worse)} no better than predicting zero.`,
      ),
    )
  } else {
    remarks.push(
      support(
        `For ${nameLayers(layers)}, which they have never seen, all predictors beat predicting zero.`,
      ),
    )
  }
  remarks.push(
    Math.abs(cosine) < NO_COSINE
      ? against(
          `The mean cosine with the real ${one ? 'layer' : 'layers'} is ${formatValue(cosine)}: the predictors do not know the missing ${one ? 'layer' : 'layers'}. What they get right in training they recall.`,
        )
      : neutral(
          `The mean cosine with the real ${one ? 'layer' : 'layers'} is ${formatValue(cosine)} (1 would be a perfect guess).`,
        ),
  )
  return remarks
}

function newLayers({ layers }: RunAnalysis): number[] {
  return layers.flatMap(({ isNew, index }) => (isNew ? [index] : []))
}

/** The nearest base layers before and after. */
/** Norms of the nearest base layers on both sides that have such a matrix. */
function normsAround(
  { layers }: RunAnalysis,
  norms: readonly (number | null)[],
  index: number,
): number[] {
  const of = layers.map(({ isNew }, at) => (isNew ? null : (norms[at] ?? null)))
  const [before, after] = [of.slice(0, index).reverse(), of.slice(index + 1)]
  return [before, after].flatMap((side) => side.find((norm) => norm !== null) ?? [])
}

function isOrAre(some: readonly unknown[]): string {
  return some.length === 1 ? 'is' : 'are'
}

function names(reports: readonly PredictorReport[]): string {
  return reports.map(({ weightType }) => weightType).join(', ')
}

function average(values: readonly number[]): number {
  return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  const value = share * 100
  return `${value > 0 && value < 10 ? value.toPrecision(2) : Math.round(value)} %`
}
