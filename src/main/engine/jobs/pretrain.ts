import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  pathsOf,
  type JobEvent,
  type JobStep,
  type PretrainResult,
  type PretrainSpec,
} from '@shared/jobs'
import {
  BASE_NAME,
  curveSeries,
  STEP_TOKENS_SERIES,
  type MeasuredText,
  type PretrainedModel,
  type TrainingRecord,
} from '@shared/pretraining'
import { formatCount } from '@shared/units'
import { requireWritable, writeJsonAtomic } from '@system/files'
import { RACE_FILE } from '../checkpoint/destination'
import { prepareOutput, type PreparedOutput } from '../checkpoint/CheckpointWriter'
import { tellLeftOut } from '../growth/writing'
import { weightOf } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { measureBase, type BaseLosses } from '../race/base'
import { openField, type Entrant, type Field } from '../race/entrants'
import { checkMaterial, readMaterial, type Material, type Measured } from '../race/material'
import { planTraining } from '../pretraining/memory'
import {
  compare,
  Race,
  requireOne,
  stepWeight,
  trainId,
  writeId,
  writeStep,
  type Trained,
  type WriteModel,
} from '../race/Race'
import { writeTrained } from '../race/trainedCheckpoint'
import { StageStore } from '../stages/StageStore'
import { remarksOf } from './remarks'
import type { JobEnv, JobRunner } from './runner'

const TEXTS_STEP = 'texts'
const BASE_STEP = 'base'

/** Bytes of tokens that a byte of text becomes at the most, compressed texts included. */
const TOKEN_BYTES = 4

/** Steps that progress is planned for before the text has been counted. */
const SUPPOSED_STEPS = 100

/** States of a training at the most: two that stand, and one that is being written. */
const STATES = 3

/** Continues the pre-training of models' new layers, all on the same batches, and writes the trained models. */
export const run: JobRunner<'pretrain'> = async function* (spec, env) {
  const started = performance.now()
  const field = await openField(spec, env.signal)
  try {
    const texts = await checkMaterial(spec)
    const decision = await chooseDevice(spec.device)
    const runtime = await Runtime.open(decision.device)
    try {
      const output = await prepare(spec, { field, runtime, textBytes: texts.bytes, env })
      try {
        yield { type: 'plan', steps: firstPlan(spec, field, texts.bytes) }
        yield { type: 'device', decision }
        const warnings = [...texts.remarks, ...field.warnings]
        for (const text of warnings) yield { type: 'log', level: 'warning', text }
        for (const { checkpoint, sidecars } of field.entrants) {
          yield* remarksOf(checkpoint)
          yield* tellLeftOut(sidecars)
        }
        const training = { spec, env, field, runtime, decision, output, textBytes: texts.bytes }
        const result = yield* trainAll(training, warnings)
        return { ...result, seconds: (performance.now() - started) / 1000 }
      } finally {
        await output.discard()
      }
    } finally {
      await runtime.dispose()
    }
  } finally {
    await field.close()
  }
}

interface Training {
  readonly spec: PretrainSpec
  readonly env: JobEnv
  readonly field: Field
  readonly runtime: Runtime
  readonly decision: Awaited<ReturnType<typeof chooseDevice>>
  readonly output: PreparedOutput
  readonly textBytes: number
}

async function* trainAll(
  training: Training,
  warnings: string[],
): AsyncGenerator<JobEvent, Omit<PretrainResult, 'seconds'>> {
  const { spec, env, field, runtime, decision, output } = training
  const { signal, pauses } = env
  const { context } = field
  const folders = foldersOf(training)
  const [{ checkpoint }] = field.entrants as [Entrant]
  const material = yield* readMaterial(spec, {
    checkpoint,
    context,
    store: new StageStore(folders.tokens, folders.keeps),
    bytes: training.textBytes,
    signal,
    pauses,
    step: TEXTS_STEP,
  })
  const artifacts: JobEvent[] = []
  let base: BaseLosses | null = null
  const trained: Trained[] = []
  const race = new Race({
    spec,
    context,
    material,
    runtime,
    device: decision.device,
    states: { folder: folders.states, keeps: folders.keeps },
    scratch: output.scratch,
    signal,
    pauses,
  })
  try {
    const steps: JobStep[] = fixedSteps(spec, field, training.textBytes)
    for (const entrant of field.entrants) steps.push(...(await race.plan(entrant)))
    yield { type: 'plan', steps }
    yield { type: 'step', id: TEXTS_STEP, done: 1, total: 1 }
    yield* race.tellKept()
    for (const text of material.remarks) {
      warnings.push(text)
      yield { type: 'log', level: 'warning', text }
    }
    yield { type: 'log', level: 'info', text: describe(spec, material, context) }
    const tokens = spec.batch * context
    yield { type: 'metric', series: STEP_TOKENS_SERIES, x: [0], y: [tokens] }
    pauses?.throwIfAborted()
    if (field.base) {
      base = yield* measureBase({
        base: field.base,
        material,
        runtime,
        device: decision.device,
        store: new StageStore(folders.states, folders.keeps),
        signal,
        step: BASE_STEP,
      })
      yield* tellBase(base)
    }
    for (const entrant of field.entrants) {
      signal.throwIfAborted()
      const write = writerOf(training, race, material, (event) => artifacts.push(event))
      const events = race.trainEntrant(entrant, write)
      let next = await events.next()
      for (; !next.done; next = await events.next()) {
        const event = next.value
        if (event.type === 'log' && event.level === 'warning') warnings.push(event.text)
        yield event
      }
      trained.push(next.value)
    }
  } finally {
    await material.close()
  }
  const results = compare(trained)
  requireOne(results)
  signal.throwIfAborted()
  if (results.length > 1) await noteRace(training, results)
  await output.commit()
  yield* artifacts
  return {
    kind: 'pretrain',
    results,
    base,
    eval_tokens: material.eval?.text.tokens ?? null,
    tokens_per_step: spec.batch * context,
    device: decision,
    trial_seconds: race.trialSeconds,
    warnings,
  }
}

/** What the folder of several models says of them: which was trained how far, and its losses. */
async function noteRace(
  { output, field, spec }: Training,
  results: readonly PretrainedModel[],
): Promise<void> {
  await writeJsonAtomic(join(output.partial, RACE_FILE), {
    tokens_per_step: spec.batch * field.context,
    models: results.map(({ name, out, steps, lr, loss, eval: measured, forgetting, ...rest }) => ({
      name,
      folder: out === null ? null : basename(out),
      steps,
      lr,
      loss,
      eval: measured,
      forgetting,
      steps_to_reach: rest.steps_to_reach,
      diverged: rest.diverged,
    })),
  })
}

// ---- before the work ----------------------------------------------------------------------------------------------

/** Where tokens and states are: in the folder that outlives the job, or beside the output. */
function foldersOf({ spec, env, output }: Pick<Training, 'spec' | 'env' | 'output'>): {
  readonly tokens: string
  readonly states: string
  readonly keeps: boolean
} {
  const kept = spec.job ?? env.workDir
  const root = kept ?? output.scratch
  return {
    tokens: join(root, 'tokens'),
    states: join(root, 'trainings'),
    keeps: kept !== undefined,
  }
}

/** Claims the output, and finds out whether memory and disk do for the whole job. */
async function prepare(
  spec: PretrainSpec,
  { field, runtime, textBytes, env }: Pick<Training, 'field' | 'runtime' | 'env' | 'textBytes'>,
): Promise<PreparedOutput> {
  const plans = field.entrants.map(({ checkpoint, layers }) =>
    planTraining(checkpoint, {
      layers,
      parts: spec.trainedParts,
      context: field.context,
      batch: spec.batch,
      placement: runtime.placement,
      memoryBytes: spec.memoryBytes,
      deviceMemoryBytes: spec.deviceMemoryBytes,
    }),
  )
  const states = plans.map(({ stateBytes }) => stateBytes)
  const largest = Math.max(...states)
  const tokens = textBytes * TOKEN_BYTES
  const written = field.entrants.reduce((sum, { bytes }) => sum + bytes, 0)
  const scratch = Math.max(...plans.map(({ scratchBytes }) => scratchBytes))
  const kept = spec.job ?? env.workDir
  const request = {
    overwrite: spec.overwrite,
    reads: pathsOf(spec, 'reads'),
    ...(spec.models.length > 1 ? { replaces: 'race' as const } : {}),
  }
  if (kept === undefined) {
    // The best trial's state and the one that is tried.
    const trials = spec.learningRates.length > 1 ? 2 * largest : 0
    const bytes = written + scratch + tokens + trials
    return await prepareOutput(spec.out, { ...request, bytes })
  }
  await requireWritable(kept)
  const all = states.reduce((sum, bytes) => sum + bytes, 0) + (STATES - 1) * largest
  const there = await new StageStore(kept, true).storedBytes()
  return await prepareOutput(spec.out, {
    ...request,
    bytes: written + scratch,
    alsoNeeds: [{ path: kept, bytes: Math.max(0, all + tokens - there) }],
  })
}

/** Steps before the trainings. */
function fixedSteps(spec: PretrainSpec, { base, context }: Field, textBytes: number): JobStep[] {
  const parameters = base?.summarize().parameters ?? 0
  // As many windows as a few steps have.
  const products = 2 * parameters * spec.batch * context * 4
  return [
    { id: TEXTS_STEP, label: 'read texts', weight: weightOf({ tokenised: textBytes }) },
    ...(base ? [{ id: BASE_STEP, label: 'measure the base model', weight: products }] : []),
  ]
}

/** As far as it is known before the text has been read; the real plan follows then. */
function firstPlan(spec: PretrainSpec, field: Field, textBytes: number): JobStep[] {
  const steps = 'steps' in spec.amount ? spec.amount.steps : SUPPOSED_STEPS
  return [
    ...fixedSteps(spec, field, textBytes),
    ...field.entrants.flatMap((entrant) => [
      {
        id: trainId(entrant, 0),
        label: `${entrant.name}: training`,
        weight: steps * spec.repeats * stepWeight(entrant, spec.batch * field.context),
      },
      writeStep(entrant),
    ]),
  ]
}

function describe({ batch }: PretrainSpec, material: Material, context: number): string {
  const { steps, windows, texts } = material
  const tokens = texts.reduce((sum, text) => sum + text.tokens, 0)
  const documents = texts.reduce((sum, text) => sum + text.documents, 0)
  const times = (steps * batch) / windows
  return (
    `${formatCount(tokens)} tokens in ${documents === 1 ? '1 document' : `${formatCount(documents)} documents`}; ${windows} windows of ${context} to train on, ` +
    `${steps} steps of ${batch}: ${times >= 10 ? times.toFixed(0) : times.toPrecision(2)} times through the text.`
  )
}

function* tellBase(base: BaseLosses): Generator<JobEvent, void> {
  for (const kind of ['eval', 'forgetting'] as const) {
    const loss = base[kind]
    if (loss === null) continue
    yield { type: 'metric', series: curveSeries(kind, BASE_NAME), x: [0], y: [loss] }
  }
}

// ---- after a training ---------------------------------------------------------------------------------------------

/**
 * Writes each model into the output that is being made: of one model the output is its checkpoint, of several a folder
 * with one for each. It appears when all are there.
 */
function writerOf(
  { spec, env, output, decision, field }: Training,
  race: Race,
  material: Material,
  onArtifact: (event: JobEvent) => void,
): WriteModel {
  return async function* (entrant, trainer, { lr, course }) {
    const isRace = spec.models.length > 1
    const within = (folder: string): string => (isRace ? join(folder, entrant.folder) : folder)
    const place = {
      out: within(output.out),
      partial: within(output.partial),
      scratch: output.scratch,
    }
    await mkdir(place.partial, { recursive: true })
    const { curves } = course
    const measured = (kind: 'eval' | 'forgetting', text: Measured | null): MeasuredText | null => {
      const [first] = curves[kind]
      const last = curves[kind].at(-1)
      return text && first && last ? { ...text.text, first: first[1], last: last[1] } : null
    }
    const record: TrainingRecord = {
      steps: course.step,
      tokens: course.step * spec.batch * field.context,
      context: field.context,
      batch: spec.batch,
      lr,
      output_lr_factor: spec.outputRateFactor,
      schedule: spec.schedule,
      warmup: race.warmup,
      weight_decay: spec.weightDecay,
      betas: [spec.beta1, spec.beta2],
      epsilon: spec.epsilon,
      clip: spec.clip,
      trained_layers: entrant.layers,
      trained_parts: spec.trainedParts,
      order: spec.order,
      seed: spec.seed,
      texts: material.texts,
      loss: { first: curves.loss[0]?.[1] ?? NaN, last: curves.loss.at(-1)?.[1] ?? NaN },
      eval: measured('eval', material.eval),
      forgetting: measured('forgetting', material.forgetting),
      device: decision.device,
    }
    const events = writeTrained(entrant, {
      values: (name) => trainer.values(name),
      record,
      // The whole output is put in its place, or removed, as one.
      output: { ...place, commit: () => Promise.resolve(), discard: () => Promise.resolve() },
      spec,
      step: writeId(entrant),
      signal: env.signal,
    })
    let next = await events.next()
    for (; !next.done; next = await events.next()) {
      if (next.value.type === 'artifact') onArtifact(next.value)
      else yield next.value
    }
    return place.out
  }
}
