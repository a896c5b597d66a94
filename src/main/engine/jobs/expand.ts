import { fitsText, isLearned } from '@shared/methods'
import { analyseGrown, ANALYSIS_STEP, analysisWork, recordStages } from '../analysis/analyse'
import { planGrowth } from '../growth/planGrowth'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesOf, findSidecars } from '../checkpoint/sidecars'
import { prepareOutput } from '../checkpoint/CheckpointWriter'
import { fitSteps } from '../fitting/fittedStart'
import { closeAll, openAlso } from '../growth/also'
import { aligningSteps, alignLayers, checkAligning } from '../growth/aligning'
import { checkDamping, dampingSteps, dampOf } from '../growth/damping'
import { layOut, writeWork } from '../growth/grownLayout'
import { matchExperts, matchingSteps } from '../growth/matchingExperts'
import { checkRouting, routingSteps, tellUnusedText } from '../growth/routing'
import { transportSteps } from '../growth/transporting'
import { learnedSteps } from '../lesa/learned'
import { weightOf } from '../lib/work'
import { writeJobFile } from '../stages/jobFile'
import {
  checkMemory,
  computeTypes,
  fitRequest,
  damp,
  predictedTypes,
  roomOfStages,
  scaleNewRouters,
  stagesOf,
  typesOf,
  writeGrown,
  type Growth,
} from '../growth/grow'
import { checkRange, rangeSteps, tellLeftOut } from '../growth/writing'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/** Grows a checkpoint by any method and writes the result as a Hugging Face folder. */
export const run: JobRunner<'expand'> = async function* (spec, { signal, workDir, recordDir }) {
  const started = performance.now()
  const checkpoint = await Checkpoint.open(spec.model)
  let also: readonly Checkpoint[] = []
  try {
    also = await openAlso(spec, checkpoint)
    const plan = planGrowth(spec.method, checkpoint)
    const sidecars = await findSidecars(checkpoint.path)
    const growth: Growth = { spec, checkpoint, also, plan, sidecars, signal, started }
    const types = typesOf(growth)
    checkMemory(growth, types)
    checkAligning(growth)
    await checkDamping(spec, checkpoint)
    await checkRouting(growth)
    const { rest, dtype } = spec
    const layout = layOut(checkpoint, { layers: plan.layers, rest, dtype, damp: dampOf(spec) })
    const kept = spec.job ?? workDir
    const stageRoom = await roomOfStages(growth, types, kept)
    const output = await prepareOutput(spec.out, {
      overwrite: spec.overwrite,
      reads: [checkpoint.path, ...also.map(({ path }) => path)],
      bytes: layout.bytes + bytesOf(sidecars) + (kept === undefined ? stageRoom : 0),
      alsoNeeds: kept === undefined ? [] : [{ path: kept, bytes: stageRoom }],
    })
    try {
      if (spec.job !== undefined) await writeJobFile(spec.job, spec)
      const steps = isLearned(spec.method)
        ? learnedSteps(checkpoint, plan, spec.method, also)
        : fitsText(spec.method.name)
          ? fitSteps(fitRequest(growth))
          : []
      yield {
        type: 'plan',
        steps: [
          ...rangeSteps(layout, spec),
          ...aligningSteps(growth),
          ...matchingSteps(growth),
          ...steps,
          ...transportSteps(growth),
          ...routingSteps(growth),
          ...dampingSteps(spec, checkpoint, plan.layers.length),
          { id: 'write', label: 'write checkpoint', weight: weightOf(writeWork(layout)) },
          ...(recordDir === undefined
            ? []
            : [{ ...ANALYSIS_STEP, weight: weightOf(analysisWork(layout.bytes)) }]),
        ],
      }
      yield* remarksOf(checkpoint)
      yield* tellLeftOut(sidecars)
      yield* tellUnusedText(growth)
      yield* checkRange(checkpoint, layout, spec, signal)
      const stages = stagesOf(spec, workDir, output)
      const alignment = yield* alignLayers(growth, stages)
      const experts = yield* matchExperts(growth, stages)
      const aligned: Growth = { ...growth, alignment, experts }
      const found = yield* computeTypes(aligned, stages, predictedTypes(aligned))
      const routing = yield* scaleNewRouters(aligned, found, stages)
      const computed = { ...found, routing }
      // What the pictures need is small; the stages that hold it may go with the output's scratch folder.
      const pictures =
        recordDir === undefined ? null : await recordStages(computed.types, recordDir)
      const damping = yield* damp(aligned, computed, stages)
      const result = yield* writeGrown(aligned, { ...computed, damping }, output, spec)
      if (recordDir !== undefined && pictures) {
        yield* analyseGrown({ plan, result, pictures, signal, recordDir })
      }
      return { ...result, seconds: (performance.now() - started) / 1000 }
    } finally {
      // Nothing is left of an output that was not committed.
      await output.discard()
    }
  } finally {
    await closeAll([checkpoint, ...also])
  }
}
