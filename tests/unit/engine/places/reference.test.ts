import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PlacesReport } from '@shared/places'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { planStream } from '../../../../src/main/engine/fitting/memory'
import { StreamedModel } from '../../../../src/main/engine/fitting/StreamedModel'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { measurePlaces, type PlaceProgress } from '../../../../src/main/engine/places/measurePlaces'
import {
  PLACE_BLOCKS,
  PLACE_CASES,
  placeContext,
  placeReference,
  placeWindows,
  writePlaceCase,
  type PlaceCase,
} from '../../../support/placeCases'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** @param keptBytes Of hidden states in memory; the plan's own bound without it. */
async function measured(
  name: PlaceCase,
  keptBytes?: number,
): Promise<{ report: PlacesReport; progress: PlaceProgress[] }> {
  const folder = await tempFolder()
  const checkpoint = await Checkpoint.open(await writePlaceCase(join(folder, 'model'), name))
  onTestFinished(() => checkpoint.close())
  const windows = placeWindows(name)
  const context = placeContext(name)
  const plan = planStream(checkpoint, {
    context,
    windows: windows.fit.length,
    lowest: 0,
    placement: runtime.placement,
    what: 'measurement',
  })
  const { signal } = new AbortController()
  const model = await StreamedModel.open(checkpoint, runtime, {
    context,
    plan: keptBytes === undefined ? plan : { ...plan, keptBytes },
    scratch: folder,
    signal,
  })
  onTestFinished(() => model.dispose())
  const directions = join(folder, 'directions')
  await mkdir(directions)
  const progress: PlaceProgress[] = []
  const work = measurePlaces(model, windows, {
    blocks: PLACE_BLOCKS,
    candidates: [],
    sampleBytes: 1e8,
    directions,
    signal,
  })
  for (;;) {
    const next = await work.next()
    if (next.done) return { report: next.value, progress }
    progress.push(next.value)
  }
}

/** To 1e-4 of the reference, or of 1 where it is smaller. */
function expectNear(found: readonly number[], expected: readonly number[], what: string): void {
  expect(found, what).toHaveLength(expected.length)
  for (const [index, value] of expected.entries()) {
    const error = Math.abs(found[index]! - value) / Math.max(1, Math.abs(value))
    expect(error, `${what} ${index}: ${found[index]} instead of ${value}`).toBeLessThan(1e-4)
  }
}

const numbers = (values: readonly (number | null)[]): number[] =>
  values.map((value) => value ?? NaN)

describe('the places of a model, beside PyTorch', () => {
  test.each(PLACE_CASES)('%s', async (name) => {
    const expected = placeReference(name)
    const { report } = await measured(name)
    const { layers, gaps } = report
    expectNear([report.base_loss], [expected.base], 'base loss')
    expectNear(
      layers.map(({ influence }) => influence),
      expected.influence,
      'influence',
    )
    expectNear(
      layers.map(({ update }) => update),
      expected.update,
      'update',
    )
    expectNear(numbers(layers.map(({ skip }) => skip.loss)), expected.skip, 'skip')
    expect(report.angular).toHaveLength(layers.length)
    for (const [index, row] of report.angular.entries()) {
      expectNear(row, expected.angular[index]!, `angle over ${index + 1}`)
    }
    const found = Object.fromEntries(
      report.repeats.map(({ first, end, loss }) => [`${first}-${end}`, loss ?? NaN]),
    )
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected.repeats).sort())
    for (const [block, loss] of Object.entries(expected.repeats)) {
      expectNear([found[block]!], [loss], `repeat ${block}`)
    }
    const single = layers.map(({ layer }) => expected.repeats[`${layer}-${layer + 1}`]!)
    expectNear(numbers(layers.map(({ repeat }) => repeat.loss)), single, 'repeat')
    expectNear(
      gaps.map(({ slope }) => slope),
      expected.slope,
      'slope',
    )
    const scores = (candidate: string): number[] =>
      gaps.flatMap(({ candidates }) =>
        candidates.filter((each) => each.candidate === candidate).map((each) => each.gradient),
      )
    expectNear(scores('copy'), expected.copy, 'gradient of copy')
    expectNear(scores('mean'), expected.mean, 'gradient of mean')
    expectNear(
      numbers(gaps.slice(0, -1).map((gap) => gap.weight_cosine)),
      expected.cosine,
      'cosine',
    )
    expectNear(numbers(gaps.slice(0, -1).map(({ cka }) => cka)), expected.cka, 'CKA')
    expect(gaps.at(-1)).toMatchObject({ weight_cosine: null, cka: null })
    const steps = expected.fit.map(({ step }) => step)
    expectNear(
      gaps.map(({ fit }) => fit.step),
      steps,
      'step',
    )
    const losses = expected.fit.map(({ loss }) => loss)
    expectNear(numbers(gaps.map(({ fit }) => fit.loss)), losses, 'fitted loss')
  })
})

test('losses come with the paired difference to the model as it is', async () => {
  const { report } = await measured('norms')
  for (const { fit, gap } of report.gaps) {
    expect(fit.difference!.mean, `gap ${gap}`).toBeCloseTo(fit.loss! - report.base_loss, 6)
    expect(fit.difference!.low).toBeLessThanOrEqual(fit.difference!.mean)
    expect(fit.difference!.high).toBeGreaterThanOrEqual(fit.difference!.mean)
    expect(fit.difference!.windows).toBe(placeWindows('norms').measured.length)
  }
})

test('hidden states that do not fit into memory go through files, to the same numbers', async () => {
  const inMemory = await measured('llama')
  const inFiles = await measured('llama', 0)
  expect(inFiles.report).toEqual(inMemory.report)
})

test('tells its progress step by step, each from 0 to 1 and never back', async () => {
  const { progress } = await measured('llama')
  const order = [...new Set(progress.map(({ step }) => step))]
  expect(order).toEqual(['weights', 'slopes', 'effects'])
  for (const step of order) {
    const done = progress.filter((each) => each.step === step).map((each) => each.done)
    expect([...done].sort((a, b) => a - b)).toEqual(done)
    expect(done.at(-1)).toBeGreaterThan(0.9)
    expect(Math.max(...done)).toBeLessThanOrEqual(1)
  }
})
