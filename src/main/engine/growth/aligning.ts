/** @file Matching the layers that new ones are computed from, as a stage of a job. */
import { AppError } from '@shared/errors'
import type { JobEvent, JobStep } from '@shared/jobs'
import { canAlign, isLearned, METHOD_NAMES } from '@shared/methods'
import { Alignment } from '../alignment/Alignment'
import { LayerMatcher } from '../alignment/matching'
import type { LayerOrder } from '../alignment/orders'
import { requireAllComputed } from '../architectures/notRun'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { requireArrays, type ArrayNeed } from '../lib/arrays'
import { reporting } from '../lib/reporting'
import { ENGINE_VERSION } from '../lib/version'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { Growth } from './grow'

type Planned = Pick<Growth, 'spec' | 'checkpoint' | 'plan'>

const STEP = 'align'
const FLOAT = Float32Array.BYTES_PER_ELEMENT

/**
 * Steps of an assignment of n neurons for each n³, in operations of products, which are many times as fast: an allowance
 * near the worst case, for rows are looked through again and again until each has a column of its own.
 */
const SEARCH_OPERATIONS = 10

/** @throws AppError `bad_request` for a method that computes nothing from neighbours, `unsupported_architecture`, `not_enough_memory`. */
export function checkAligning({ spec, checkpoint }: Pick<Growth, 'spec' | 'checkpoint'>): void {
  if (spec.align !== true) return
  const { name } = spec.method
  if (!canAlign(name)) {
    const message = `${METHOD_NAMES[name]} computes nothing from several layers, so there is nothing to align.`
    throw new AppError('bad_request', message, {
      context: { field: 'align', expected: 'another method', actual: name },
    })
  }
  requireAllComputed(
    checkpoint,
    `Layers of ${checkpoint.config.architectureName} cannot be matched`,
  )
  requireArrays(aligningNeed(checkpoint))
}

/** The costs of all pairs of neurons, and both layers' matrices. */
export function aligningNeed({ config }: Checkpoint): ArrayNeed {
  const { intermediateSize, hiddenSize, numAttentionHeads, headDim } = config
  const matrix = FLOAT * hiddenSize * Math.max(intermediateSize, numAttentionHeads * headDim)
  const costs = FLOAT * intermediateSize ** 2
  return { largest: Math.max(costs, matrix), together: costs + 3 * matrix }
}

/** Layers that are matched, the first and the last: all for predictions, which learn from all. */
function matched({ spec, checkpoint, plan }: Planned): readonly [first: number, last: number] {
  if (isLearned(spec.method)) return [0, checkpoint.config.numHiddenLayers - 1]
  const sides = plan.layers.flatMap((layer) => (layer.kind === 'computed' ? layer.sides : []))
  const first = spec.rest === 'first' ? 0 : Math.min(...sides)
  return [first, Math.max(...sides)]
}

/** Products of all pairs of neurons, and their assignments; large models spend most on these. */
export function aligningWork(growth: Planned): Work {
  const [first, last] = matched(growth)
  const { intermediateSize, hiddenSize } = growth.checkpoint.config
  const pairs = last - first
  const matrices = FLOAT * 2 * 3 * intermediateSize * hiddenSize
  return {
    products:
      pairs * intermediateSize ** 2 * (6 * hiddenSize + SEARCH_OPERATIONS * intermediateSize),
    converted: pairs * matrices,
  }
}

export function aligningSteps(growth: Planned): JobStep[] {
  if (growth.spec.align !== true) return []
  return [{ id: STEP, label: 'align layers', weight: weightOf(aligningWork(growth)) }]
}

/** Matches the layers, or takes the orders that an earlier run kept; `null` where that is not asked for. */
export async function* alignLayers(
  growth: Growth,
  stages: StageStore,
): AsyncGenerator<JobEvent, Alignment | null> {
  const { spec, checkpoint, signal } = growth
  if (spec.align !== true) return null
  const [first, last] = matched(growth)
  const step = (done: number): JobEvent => ({ type: 'step', id: STEP, done, total: 1 })
  yield step(0)
  const { device } = await chooseDevice(spec.device)
  const model = await checkpoint.fingerprint()
  // Whichever device found them: machines that share a job have to share its orders.
  const depends = { engine: ENGINE_VERSION, model, first, last }
  const kept = await stages.find(STEP, depends)
  if (kept && 'folder' in kept) {
    yield { type: 'step', id: STEP, done: 1, total: 1, kept: null }
    return Alignment.load(kept.folder, checkpoint, first)
  }
  const alignment = yield* reporting<JobEvent, Alignment>(signal, async (report) => {
    const runtime = await Runtime.open(device)
    try {
      const matcher = await LayerMatcher.create(checkpoint, runtime)
      const matches: LayerOrder[] = []
      for (let layer = first; layer < last; layer += 1) {
        const before = layer - first
        const found = await matcher.match(first, layer + 1, (done) =>
          report(step((before + done) / (last - first))),
        )
        matches.push(found)
      }
      await matcher.dispose()
      return Alignment.fromMatches(checkpoint.config, first, matches)
    } finally {
      await runtime.dispose()
    }
  })
  const draft = await stages.begin(STEP, depends)
  try {
    await alignment.save(draft.folder)
    await checkpoint.assertUnchanged()
    const folder = await draft.commit()
    yield step(1)
    yield { type: 'log', level: 'info', text: describe(alignment, first, last) }
    return await Alignment.load(folder, checkpoint, first)
  } finally {
    await draft.discard()
  }
}

function describe({ moved }: Alignment, first: number, last: number): string {
  const share = (100 * moved).toFixed(0)
  return `Layers ${first} to ${last} are aligned: ${share} % of their neurons and heads stand at another place than in layer ${first}.`
}
