import { heldOut } from '../../../support/heldOut'
import type { DirectionProjection, RunAnalysis, WeightTypeAnalysis } from '@shared/analysis'
import type { PredictorReport } from '@shared/jobs'
import { METHODS, type Method } from '@shared/methods'
import { WEIGHT_TYPES } from '../../../support/weightTypes'
import { describe, expect, it } from 'vitest'
import {
  cosineRemarks,
  directionRemarks,
  heldOutRemarks,
  normRemarks,
  predictorRemarks,
  spectrumRemarks,
} from '../../../../src/renderer/src/views/layers/captions'

function projection(changes: Partial<DirectionProjection> = {}): DirectionProjection {
  return {
    type: 'gate_proj',
    method: 'pca',
    points: [],
    explained: [0.5, 0.2],
    continuity: { neighbourDistance: 0.6, anyDistance: 1, p: 0.001, verdict: 'clear' },
    predicted: [],
    ...changes,
  }
}

const layers = [
  { index: 0, isNew: false, label: '0', source: 0 },
  { index: 1, isNew: true, label: '0½', source: 0 },
  { index: 2, isNew: false, label: '1', source: 1 },
  { index: 3, isNew: false, label: '2', source: 2 },
]

function analysis(changes: Partial<WeightTypeAnalysis>): RunAnalysis {
  const of: WeightTypeAnalysis = {
    rank: null,
    singularValues: null,
    energy: null,
    hasDirections: false,
    norms: [1, 1, 1, 1],
    neighbourCosines: [0.5, 0.5, 0.5],
    predictor: null,
    ...changes,
  }
  const types = Object.fromEntries(WEIGHT_TYPES.map((type) => [type, of])) as RunAnalysis['types']
  return { schema_version: 1, layers, types }
}

function report(changes: Partial<PredictorReport> = {}): PredictorReport {
  return {
    weightType: 'q_proj',
    rank: 4,
    samples: 10,
    steps: 100,
    lossPerEpoch: [1],
    mse: 0.5,
    mseOfZero: 1,
    mseOfMean: 0.8,
    normRatio: 1,
    ...changes,
  }
}

const tones = (remarks: readonly { tone: string }[]): string[] => remarks.map(({ tone }) => tone)

describe('the paper’s picture', () => {
  it('supports the prediction where the order shows', () => {
    expect(tones(directionRemarks(projection()))).toEqual(['neutral', 'support', 'neutral'])
  })

  it('gives no support where a random order is as smooth', () => {
    const remarks = directionRemarks(
      projection({
        continuity: { neighbourDistance: 1, anyDistance: 1, p: 0.48, verdict: 'none' },
      }),
    )
    expect(remarks[1]).toMatchObject({ tone: 'against' })
    expect(remarks[1]?.text).toContain('no support')
    expect(remarks[1]?.text).toContain('48 %')
  })

  it('warns when most of the variance is not in the plane', () => {
    const [, , plane] = directionRemarks(projection({ explained: [0.2, 0.1] }))
    expect(plane?.text).toContain('30 %')
    expect(plane?.text).toContain('not to be seen')
  })

  it('says what t-SNE does not say', () => {
    const remarks = directionRemarks(projection({ method: 'tsne', explained: null }))
    expect(remarks.at(-1)?.text).toContain('mean nothing')
  })

  it.each([
    [0.05, 'neutral', 'practically their mean'],
    [0.7, 'neutral', 'near them'],
    [3.9, 'against', 'does not lie between them'],
  ])('judges predicted layers %d half-distances from the midpoint', (offMidpoint, tone, text) => {
    const remark = directionRemarks(projection({ predicted: [{ index: 1, offMidpoint }] })).at(-1)
    expect(remark?.tone).toBe(tone)
    expect(remark?.text).toContain(text)
  })
})

describe('the spectrum', () => {
  it('counts the directions that hold nine tenths, from one', () => {
    const energy = { x: [0, 1, 2, 3], y: [0.7, 0.92, 0.97, 1] }
    const [remark, ...more] = spectrumRemarks(analysis({ rank: 4, energy }), 'q_proj')
    expect(remark?.text).toContain('2 of 4 directions')
    expect(remark?.text).toContain('70 %')
    expect(more).toEqual([])
  })

  it('says that it is flat when it is', () => {
    const energy = { x: [0, 1, 2, 3], y: [0.25, 0.5, 0.75, 1] }
    expect(spectrumRemarks(analysis({ rank: 4, energy }), 'q_proj')[1]?.text).toContain('flat')
  })

  it('has nothing to say where nothing was decomposed', () => {
    expect(spectrumRemarks(analysis({}), 'q_proj')).toEqual([])
  })
})

describe('the norms', () => {
  it.each([
    [0.3, 'against', 'shrunk'],
    [1.1, 'neutral', 'fits in'],
    [2, 'against', 'larger'],
    [0, 'neutral', 'pass their input on'],
  ])('of new layers %d times as large as their neighbours', (norm, tone, text) => {
    const [remark] = normRemarks(analysis({ norms: [1, norm, 1, 5] }), 'q_proj', 'lesa')
    expect(remark?.tone).toBe(tone)
    expect(remark?.text).toContain(text)
  })

  it('of new layers count beside the nearest that have such a matrix', () => {
    const [remark] = normRemarks(analysis({ norms: [2, 2, null, 2] }), 'q_proj', 'lesa')
    expect(remark?.text).toContain('1.00 times the norm')
    expect(normRemarks(analysis({ norms: [2, null, null, 2] }), 'q_proj', 'lesa')).toEqual([])
    expect(
      cosineRemarks(analysis({ neighbourCosines: [null, null, 0.5] }), 'q_proj', 'lesa')[0]?.text,
    ).toContain('0.5')
  })
})

describe('the cosines', () => {
  it('speak against the prediction where neighbours have nothing in common', () => {
    // Only the last pair is of base layers alone.
    const [between, around] = cosineRemarks(
      analysis({ neighbourCosines: [0.9, 0.7, 0.01] }),
      'q_proj',
      'lesa',
    )
    expect(between?.tone).toBe('against')
    expect(around?.text).toContain('0.800')
  })

  it('say of experts that their order is none', () => {
    const plain = analysis({})
    const types = { ...plain.types, 'experts.up_proj': plain.types['q_proj']! }
    const remarks = cosineRemarks({ ...plain, types }, 'experts.up_proj', 'lesa')
    expect(remarks[0]?.tone).toBe('neutral')
    expect(remarks.at(-1)?.text).toContain('by their numbers')
    expect(cosineRemarks(analysis({}), 'q_proj', 'lesa').at(-1)?.text).not.toContain('numbers')
  })

  it('speak for it where they resemble each other', () => {
    expect(cosineRemarks(analysis({}), 'q_proj', 'lesa')[0]?.tone).toBe('support')
  })
})

describe('captions know the method', () => {
  const small = analysis({ norms: [1, 0.3, 1, 5], neighbourCosines: [0, 0, 0] })

  it.each(METHODS.filter((method) => method !== 'lesa'))(
    'and speak of no loss and no prediction for %s',
    (method) => {
      const [norm] = normRemarks(small, 'q_proj', method)
      expect(norm?.text).not.toMatch(/λ|loss/)
      for (const { text } of cosineRemarks(small, 'q_proj', method)) {
        expect(text).not.toMatch(/predict/)
      }
    },
  )

  it.each<[Method, string]>([
    ['lesa', 'against'],
    ['neighbour-mean', 'against'],
    ['noise', 'neutral'],
    ['llama-pro', 'neutral'],
    ['solar', 'neutral'],
  ])('and judge %s by the likeness of neighbours only where it rests on it', (method, tone) => {
    expect(cosineRemarks(small, 'q_proj', method)[0]?.tone).toBe(tone)
  })
})

describe('the predictors', () => {
  it('have learnt something where all beat zero', () => {
    expect(tones(predictorRemarks([report(), report({ weightType: 'k_proj' })]))).toEqual([
      'neutral',
      'support',
    ])
  })

  it('are named where they do not', () => {
    const remarks = predictorRemarks([report(), report({ weightType: 'k_proj', mse: 1.03 })])
    expect(remarks[1]?.tone).toBe('against')
    expect(remarks[1]?.text).toContain('1 of 2')
    expect(remarks[1]?.text).toContain('(k_proj)')
  })

  it('recall rather than know when the held-out layer has no cosine', () => {
    const holdout = heldOut([6], { mse: 1.1, cosine: 0.001 })
    const remarks = heldOutRemarks([report({ holdout })])
    expect(tones(remarks)).toEqual(['against', 'against'])
    expect(remarks[1]?.text).toContain('recall')
  })

  it('know something of it when they beat zero there', () => {
    const holdout = heldOut([3, 6, 9], { mse: 0.4, cosine: 0.7 })
    const remarks = heldOutRemarks([report({ holdout })])
    expect(tones(remarks)).toEqual(['support', 'neutral'])
    expect(remarks[0]?.text).toContain('For layers 3, 6 and 9, which')
    expect(heldOutRemarks([report()])).toEqual([])
  })
})
