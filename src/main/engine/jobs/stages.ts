import { AppError } from '@shared/errors'
import { isLearned, learns, METHODS } from '@shared/methods'
import { planGrowth } from '../growth/planGrowth'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { findSidecars } from '../checkpoint/sidecars'
import { findPredicted, learnedSteps } from '../lesa/learned'
import { writeJobFile } from '../stages/jobFile'
import { requireRoom } from '@system/space'
import {
  checkMemory,
  computeTypes,
  keptStages,
  predictedTypes,
  roomOfStages,
  stageContext,
  typesOf,
  type Growth,
} from '../growth/grow'
import { closeAll, openAlso } from '../growth/also'
import { aligningSteps, alignLayers, checkAligning } from '../growth/aligning'
import { layOut } from '../growth/grownLayout'
import { matchExperts, matchingSteps } from '../growth/matchingExperts'
import { checkRouting } from '../growth/routing'
import { checkRange, rangeSteps } from '../growth/writing'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/**
 * Computes some weight types' new matrices into a job's folder and says which are there and which are missing. Any
 * machine that sees the folder may do its share, at the same time as others.
 */
export const run: JobRunner<'stages'> = async function* (spec, { signal }) {
  const started = performance.now()
  const { method } = spec
  if (!isLearned(method)) {
    throw new AppError('bad_request', `The method ${method.name} has no stages to run apart.`, {
      hint: `Only ${METHODS.filter(learns).join(' and ')} compute new matrices; run the others in one go.`,
    })
  }
  const checkpoint = await Checkpoint.open(spec.model)
  let also: readonly Checkpoint[] = []
  try {
    also = await openAlso(spec, checkpoint)
    const plan = planGrowth(method, checkpoint)
    const sidecars = await findSidecars(checkpoint.path)
    const growth: Growth = { spec, checkpoint, also, plan, sidecars, signal, started }
    requireWeightTypes(typesOf(growth), spec.only)
    checkMemory(growth, spec.only)
    checkAligning(growth)
    await checkRouting(growth)
    await writeJobFile(spec.job, spec)
    await requireRoom([{ path: spec.job, bytes: await roomOfStages(growth, spec.only, spec.job) }])
    const wanted = (id: string): boolean => spec.only.some((type) => id.startsWith(`${type}/`))
    const steps = learnedSteps(checkpoint, plan, method, also).filter(({ id }) => wanted(id))
    const { rest, dtype } = spec
    const layout = layOut(checkpoint, { layers: plan.layers, rest, dtype })
    yield {
      type: 'plan',
      steps: [
        ...rangeSteps(layout, spec),
        ...aligningSteps(growth),
        ...matchingSteps(growth),
        ...steps,
      ],
    }
    yield* remarksOf(checkpoint)
    yield* checkRange(checkpoint, layout, spec, signal)
    const store = keptStages(spec.job)
    const alignment = yield* alignLayers(growth, store)
    const experts = yield* matchExperts(growth, store)
    const aligned: Growth = { ...growth, alignment, experts }
    const types = predictedTypes(aligned)
    const wantedTypes = spec.only.filter((type) => types.includes(type))
    const { device } = yield* computeTypes(aligned, store, wantedTypes)
    const context = await stageContext(aligned, store, device?.device ?? 'cpu')
    const found = await Promise.all(types.map((type) => findPredicted(context, type)))
    return {
      kind: 'stages',
      job: spec.job,
      done: types.filter((_, index) => isWhole(found[index])),
      missing: types.filter((_, index) => !isWhole(found[index])),
      device,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    await closeAll([checkpoint, ...also])
  }
}

function isWhole(found: Awaited<ReturnType<typeof findPredicted>> | undefined): boolean {
  return found !== null && found !== undefined && !('damage' in found)
}

function requireWeightTypes(types: readonly string[], wanted: readonly string[]): void {
  const unknown = wanted.find((type) => !types.includes(type))
  if (unknown === undefined) return
  const expected = types.join(', ')
  throw new AppError('bad_request', `The model has no weight type "${unknown}".`, {
    hint: `It has ${expected}.`,
    context: { field: 'only', expected, actual: unknown },
  })
}
