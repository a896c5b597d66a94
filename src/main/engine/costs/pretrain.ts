/** @file What the training of new layers will cost. */
import type { EstimateRequest } from '@shared/engineProtocol'
import type { EstimateItem } from '@shared/estimate'
import type { PretrainSpec } from '@shared/jobs'
import { defaultEvalEvery, trialSteps } from '@shared/pretraining'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { splitWindows } from '../corpus/order'
import { checkTexts } from '../corpus/textFiles'
import { layerInputs } from '../decoder/decoderLayer'
import { checkForwardPass } from '../decoder/ForwardPass'
import { elementsOf } from '../architectures/Architecture'
import { mostOf, type ArrayNeed } from '../lib/arrays'
import type { Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { contextOf, measuredWindows, stepsOf, trainedLayers } from '../pretraining/course'
import { planTraining, type TrainingPlan, type TrainingRequest } from '../pretraining/memory'
import { evaluationWork, saveWork, stepWork, type PlannedTraining } from '../pretraining/work'
import type { Calibration } from './calibration'
import { secondsOf, totalOf, type Cost, type Rates } from './cost'
import { sampleText, type TextSample } from './textSample'
import { trialOf } from './trainingTrial'

/** Bytes of a token's id in its file. */
const TOKEN_BYTES = 4

/** States of a training at the most: two that stand, and one that is being written. */
const STATES_AT_ONCE = 3

/** The best one's so far, and that of the one at hand. */
const STATES_OF_TRIALS = 2

/** How long each of a job's texts is, in tokens as far as its bytes tell. */
interface TextSizes {
  readonly bytes: number
  readonly tokens: number
}

/** How often what is done with one model. */
interface Course {
  readonly context: number
  /** Of one training. */
  readonly steps: number
  /** Of all: the model's repeats, and the trials of its learning rates that are not gone on with. */
  readonly allSteps: number
  readonly evaluations: number
  /** Of learning rates that are not gone on with. */
  readonly trials: number
  /** Windows that one evaluation measures. */
  readonly windows: number
  /** Bytes of all texts, and tokens as far as these tell. */
  readonly tokenised: number
  readonly tokens: number
}

/** A training with the smallest bound of memory that it keeps. */
interface Planned {
  readonly training: PlannedTraining
  readonly leastMemory: number
}

/** @throws AppError what the job itself would throw before it begins. */
export async function pretrainCost(
  spec: PretrainSpec,
  { memoryLimitBytes, keepsStages = false, isQuick = false }: EstimateRequest,
  calibration: Calibration,
): Promise<Cost> {
  const { device } = await chooseDevice(spec.device)
  const runtime = await Runtime.open(device)
  const opened: Checkpoint[] = []
  try {
    for (const path of [
      ...spec.models.map((model) => model.path),
      ...(spec.base ? [spec.base] : []),
    ]) {
      const checkpoint = await Checkpoint.open(path)
      opened.push(checkpoint)
      checkForwardPass(checkpoint)
    }
    const models = opened.slice(0, spec.models.length)
    const base = opened[spec.models.length]
    const configs = opened.map(({ config }) => config)
    const paths = { paths: spec.texts, field: spec.textField }
    const text = await sampleText(calibration, models[0]!, paths)
    const course = await courseOf(spec, contextOf(spec, configs), text)
    const plan = (checkpoint: Checkpoint, layers: readonly number[]): Planned =>
      planned(checkpoint, {
        layers,
        parts: spec.trainedParts,
        context: course.context,
        batch: spec.batch,
        placement: runtime.placement,
        memoryBytes: spec.memoryBytes ?? memoryLimitBytes,
        deviceMemoryBytes: spec.deviceMemoryBytes,
      })
    const plans: Planned[] = []
    for (const model of models) plans.push(plan(model, await trainedLayers(model, spec)))
    const first = plans[0]!.training
    const trial = trialOf(first.checkpoint, {
      ...first.plan,
      context: course.context,
      windows: first.plan.microBatch,
    })
    // Disks are timed, for half a minute each if they are slow, only where every step waits for them.
    const [reads, copies] = [
      streams(plans),
      plans.some(({ training }) => training.plan.scratchBytes > 0),
    ]
    const rates: Rates = {
      calibration,
      runtime,
      read: await calibration.readRate(models[0]!, isQuick || !reads),
      copy: await calibration.copyRate(models[0]!, spec.out, isQuick || !copies),
      text: text.rate,
      training: await calibration.trainingRates(runtime, trial),
    }
    const keeps = keepsStages || spec.job !== undefined
    const stages = new Stages()
    const { tokenised, tokens } = course
    await stages.add('tokenise the texts', { tokenised }, 1, rates)
    let stepSeconds = 0
    for (const [index, { training }] of plans.entries()) {
      const bytes = bytesOf(models[index]!)
      const step = await secondsOf(stepWork(training), rates)
      stepSeconds += step
      const saves = 1 + Math.floor((course.allSteps * step) / (60 * spec.saveEvery))
      await stages.add('training steps', stepWork(training), course.allSteps, rates)
      const evaluation = evaluationWork(training, course.windows)
      await stages.add('evaluations', evaluation, course.evaluations, rates)
      await stages.add('keep states', saveWork(training), keeps ? saves : 0, rates)
      await stages.add('write checkpoints', { copied: bytes, converted: bytes }, 1, rates)
    }
    if (base) {
      const { training } = plan(base, [])
      await stages.add('evaluations', evaluationWork(training, course.windows), 1, rates)
    }
    const memory = mostMemory(plans)
    const most = (of: (plan: TrainingPlan) => number): number =>
      Math.max(...plans.map(({ training }) => of(training.plan)))
    const states = plans.map(({ training }) => training.plan.stateBytes)
    return {
      seconds: stages.items,
      hostBytes: memory.hostBytes,
      deviceBytes: runtime.placement.isHost ? null : most(({ deviceBytes }) => deviceBytes ?? 0),
      diskBytes: [
        { label: 'trained checkpoints', value: sum(models.map(bytesOf)) },
        {
          label: keeps ? 'states to go on from' : 'states of trials',
          value: keeps
            ? sum(states) + (STATES_AT_ONCE - 1) * Math.max(...states)
            : course.trials > 0
              ? STATES_OF_TRIALS * Math.max(...states)
              : 0,
        },
        { label: 'tokens', value: TOKEN_BYTES * tokens },
        {
          label: 'trained layers that do not fit into memory',
          value: most(({ scratchBytes }) => scratchBytes),
        },
      ].filter(({ value }) => value > 0),
      device,
      leastMemory: Math.max(...plans.map(({ leastMemory }) => leastMemory)),
      arrays: mostOf(plans.map((each) => arraysOf(each))),
      out: spec.out,
      training: {
        secondsPerStep: stepSeconds / models.length,
        steps: course.steps,
        tokensPerStep: course.context * spec.batch,
      },
    }
  } finally {
    for (const checkpoint of opened) await checkpoint.close()
    await runtime.dispose()
  }
}

/** Of a bound that is too small the estimate tells, which is then made for the smallest one that is not. */
function planned(checkpoint: Checkpoint, { memoryBytes, ...request }: TrainingRequest): Planned {
  const { leastBytes } = planTraining(checkpoint, request)
  const bound = memoryBytes === undefined ? {} : { memoryBytes: Math.max(memoryBytes, leastBytes) }
  const plan = planTraining(checkpoint, { ...request, ...bound })
  return { training: { checkpoint, ...request, plan }, leastMemory: leastBytes }
}

/** Whether a step reads weights from files. */
function streams(plans: readonly Planned[]): boolean {
  return plans.some(({ training }) => (stepWork(training).converted ?? 0) > 0)
}

function mostMemory(plans: readonly Planned[]): TrainingPlan {
  return plans
    .map(({ training }) => training.plan)
    .reduce((most, plan) => (totalOf(plan.hostBytes) > totalOf(most.hostBytes) ? plan : most))
}

async function courseOf(spec: PretrainSpec, context: number, sample: TextSample): Promise<Course> {
  const texts = await sizesOf(spec.texts, sample)
  const evalText = spec.evalText === undefined ? null : await sizesOf([spec.evalText], sample)
  const forgetting =
    spec.forgettingText === undefined ? null : await sizesOf([spec.forgettingText], sample)
  const windowsOf = (text: TextSizes | null): number => Math.floor((text?.tokens ?? 0) / context)
  const { train, held } = splitWindows(windowsOf(texts), evalText ? 0 : spec.evalShare)
  const steps = stepsOf(spec, { context, windows: train })
  const every = spec.evalEvery ?? defaultEvalEvery(steps)
  const evaluationsOf = (taken: number): number => 1 + Math.ceil(taken / every)
  // The best trial is gone on with.
  const lost = new Set(spec.learningRates).size - 1
  const trial = trialSteps(steps)
  const all = [texts, evalText, forgetting].flatMap((each) => each ?? [])
  return {
    context,
    steps,
    allSteps: spec.repeats * steps + lost * trial,
    evaluations: spec.repeats * evaluationsOf(steps) + lost * evaluationsOf(trial),
    trials: lost,
    windows:
      (evalText ? windowsOf(evalText) : measuredWindows(held, context)) + windowsOf(forgetting),
    tokenised: sum(all.map(({ bytes }) => bytes)),
    tokens: sum(all.map(({ tokens }) => tokens)),
  }
}

async function sizesOf(
  paths: readonly string[],
  { bytesPerToken }: TextSample,
): Promise<TextSizes> {
  const { textBytes } = await checkTexts(paths)
  return { bytes: textBytes, tokens: textBytes / bytesPerToken }
}

function bytesOf({ tensors }: Checkpoint): number {
  return sum([...tensors.values()].map(({ byteLength }) => byteLength))
}

/** What of the smallest plan is arrays of this process: nearly all. */
function arraysOf({ training: { checkpoint, plan, layers }, leastMemory }: Planned): ArrayNeed {
  const { architecture, config } = checkpoint
  const elements = [
    plan.vocabularyTile * config.hiddenSize,
    ...layerInputs(architecture, config, layers[0] ?? 0).map(({ shape }) => elementsOf(shape)),
  ]
  const largest = Math.max(...elements) * Float32Array.BYTES_PER_ELEMENT
  return { largest, together: leastMemory }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** Seconds by what they are for, in the order in which they come up. */
class Stages {
  readonly #seconds = new Map<string, number>()

  async add(label: string, work: Work, times: number, rates: Rates): Promise<void> {
    const before = this.#seconds.get(label) ?? 0
    this.#seconds.set(label, before + times * (await secondsOf(work, rates)))
  }

  get items(): EstimateItem[] {
    return [...this.#seconds].flatMap(([label, value]) => (value > 0 ? { label, value } : []))
  }
}
