import { DEVICES, type Device } from '@shared/devices'
import { AppError } from '@shared/errors'
import { isLearned } from '@shared/methods'
import { planGrowth } from '../growth/planGrowth'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { findSidecars } from '../checkpoint/sidecars'
import { prepareOutput } from '../checkpoint/CheckpointWriter'
import { closeAll, openAlso } from '../growth/also'
import { aligningSteps, alignLayers, checkAligning } from '../growth/aligning'
import { checkDamping, dampingSteps } from '../growth/damping'
import { layOut } from '../growth/grownLayout'
import { matchExperts, matchingSteps } from '../growth/matchingExperts'
import { findPredicted, type PredictedType } from '../lesa/learned'
import { readJobFile } from '../stages/jobFile'
import { checkRouting, routingSteps } from '../growth/routing'
import { transportSteps } from '../growth/transporting'
import {
  computeTypes,
  damp,
  keptStages,
  predictedTypes,
  scaleNewRouters,
  stageContext,
  writeGrown,
  type Computed,
  type Growth,
} from '../growth/grow'
import { remarksOf } from './remarks'
import { tellLeftOut } from '../growth/writing'
import type { JobRunner } from './runner'

/** Writes the checkpoint of a job whose weight types were computed apart. */
export const run: JobRunner<'assemble'> = async function* (spec, { signal }) {
  const started = performance.now()
  const job = await readJobFile(spec.job)
  const checkpoint = await Checkpoint.open(job.model)
  let also: readonly Checkpoint[] = []
  try {
    also = await openAlso(job, checkpoint)
    const plan = planGrowth(job.method, checkpoint)
    const sidecars = await findSidecars(checkpoint.path)
    const growth: Growth = { spec: job, checkpoint, also, plan, sidecars, signal, started }
    checkAligning(growth)
    await checkDamping(job, checkpoint)
    await checkRouting(growth)
    const before = [
      ...aligningSteps(growth),
      ...matchingSteps(growth),
      ...transportSteps(growth),
      ...routingSteps(growth),
      ...dampingSteps(job, checkpoint, plan.layers.length),
    ]
    const weight = before.reduce((sum, step) => sum + step.weight, 0) || 1
    yield { type: 'plan', steps: [...before, { id: 'write', label: 'write checkpoint', weight }] }
    const alignment = yield* alignLayers(growth, keptStages(spec.job))
    const experts = yield* matchExperts(growth, keptStages(spec.job))
    const aligned: Growth = { ...growth, alignment, experts }
    const computed = isLearned(job.method)
      ? await collect(aligned, spec.job)
      : yield* computeTypes(aligned, keptStages(spec.job), [])
    const output = await prepareOutput(spec.out, {
      overwrite: spec.overwrite,
      reads: [checkpoint.path, ...also.map(({ path }) => path)],
      bytes: layOut(checkpoint, { layers: plan.layers, rest: job.rest, dtype: job.dtype }).bytes,
    })
    try {
      yield* remarksOf(checkpoint)
      yield* tellLeftOut(sidecars)
      const routing = yield* scaleNewRouters(aligned, computed, keptStages(spec.job))
      const routed = { ...computed, routing }
      const chosen = yield* damp(aligned, routed, keptStages(spec.job))
      return yield* writeGrown(aligned, { ...routed, damping: chosen }, output, spec)
    } finally {
      await output.discard()
    }
  } finally {
    await closeAll([checkpoint, ...also])
  }
}

/**
 * Finds every weight type's result, whichever devices they were computed on.
 *
 * @throws AppError `not_found` naming the weight types that are missing.
 */
async function collect(growth: Growth, folder: string): Promise<Computed> {
  const store = keptStages(folder)
  const types = predictedTypes(growth)
  const found = new Map<string, PredictedType>()
  const damages: string[] = []
  const used = new Set<Device>()
  for (const device of DEVICES) {
    const context = await stageContext(growth, store, device)
    for (const type of types) {
      const result = found.has(type) ? null : await findPredicted(context, type)
      if (!result) continue
      if ('damage' in result) {
        damages.push(result.damage)
        continue
      }
      found.set(type, result)
      used.add(device)
    }
  }
  const missing = types.filter((type) => !found.has(type))
  if (missing.length > 0) {
    const why = damages.length > 0 ? ` ${damages.join('; ')}.` : ''
    throw new AppError('not_found', `The job's folder lacks ${missing.join(', ')}.${why}`, {
      hint: `Compute the rest with lesa expand … --job ${folder} --only ${missing.join(',')}.`,
      context: {
        file: folder,
        expected: 'new matrices of all weight types',
        actual: [...found.keys()].join(', ') || 'none',
      },
    })
  }
  const [device = 'cpu'] = used
  return {
    device: { device, reason: `the stages ran on ${[...used].join(' and ')}` },
    types: types.flatMap((type) => found.get(type) ?? []),
  }
}
