import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildPretrainSpec } from '../../../src/main/cli/pretrainSpec'
import { Random } from '../../../src/main/engine/lib/random'
import type { TrainingMode } from '../../../src/main/engine/pretraining/memory'
import type { PretrainTask } from '../child'
import { estimateJob } from '../lib/estimate'
import { numberOf, runChild, runLesa, runReference, takeTurns, type Report } from '../lib/measure'
import { llamaConfig, synthesize, TINY } from '../lib/models'
import { hasModule } from '../lib/python'
import { requireSpace } from '../lib/space'
import type { BenchContext, Benchmark, Goal, Part } from '../lib/types'

/** Both sides compute in float32 from the same weights and batches. */
const TOLERANCE = 1e-4

/** What a way of working is measured against, and what is asked of it. */
const WAYS: Readonly<Record<TrainingMode, Goal>> = {
  recompute: { ratio: 1 / 1.2, peakRatio: 0.7 },
  keep: { ratio: 1, peakRatio: 1 },
}

/** At a rate at which the loss jumps about, rounding soon makes a difference. */
const LEARNING_RATE = 2e-4

export interface PretrainShape {
  /** Brings the model that is grown half as deep again. */
  readonly base: (context: BenchContext) => Promise<string>
  readonly vocabulary: number
  readonly batch: number
  readonly context: number
  readonly steps: number
  /** In words. */
  readonly model: string
}

export const DEMO_SHAPE: PretrainShape = {
  base: ({ root }) => Promise.resolve(join(root, 'resources/demo-model')),
  vocabulary: 512,
  batch: 8,
  context: 128,
  steps: 24,
  model: 'the demo model, 12 → 18 layers',
}

export const WIDE_SHAPE: PretrainShape = {
  base: async (context) => {
    const model = join(context.work, 'base')
    const shape = { hidden: 512, intermediate: 1536, heads: 8, keyValueHeads: 4, layers: 8 }
    const config = llamaConfig(
      context.quick ? { ...TINY, vocabulary: 4096 } : { ...shape, vocabulary: 4096 },
    )
    await synthesize(context, model, config, 8)
    return model
  },
  vocabulary: 4096,
  batch: 4,
  context: 256,
  steps: 12,
  model: 'hidden size 512, vocabulary 4,096, 8 → 12 layers',
}

export function pretrainBenchmark(name: string, shape: PretrainShape): Benchmark {
  const { model, batch, context } = shape
  return {
    name,
    description:
      `tokens a second of training the new layers of a grown model (${model}; ${batch} windows of ${context} a step), ` +
      'the median step, against transformers in float32 on the same batches: layers computed again beside gradient ' +
      'checkpointing of every layer, everything kept beside plain autograd',
    run: (given) => run(given, name, shape),
  }
}

async function run(context: BenchContext, name: string, shape: PretrainShape): Promise<Part[]> {
  const { quick, work, python, signal, say } = context
  const model = join(work, 'grown')
  say(`${name}: growing the model`)
  const args = ['expand', await shape.base(context), '--method', 'neighbour-mean', '--out', model]
  await runLesa(context, args, { memory: false })
  const [steps, warmup] = quick ? [2, 1] : [shape.steps, 4]
  const [batch, length] = quick ? [2, 16] : [shape.batch, shape.context]
  const windows = join(work, 'windows.bin')
  await writeFile(windows, randomIds(steps * batch * length, shape.vocabulary))
  const task = { model, windows, steps, warmup, batch, context: length, lr: LEARNING_RATE }
  const usable = python !== null && (await hasModule(python, 'transformers', signal))
  const parts: Part[] = []
  for (const mode of ['recompute', 'keep'] as const) {
    const own: PretrainTask = { ...task, mode, scratch: join(work, 'scratch') }
    const losses: { ours?: number[]; reference?: number[] } = {}
    const sides = await takeTurns(
      context,
      `${name} ${mode}`,
      {
        ours: async () => {
          const { report, peakBytes } = await runChild(context, 'pretrain', own)
          losses.ours = lossesOf(report)
          return { value: numberOf(report, 'rate'), peakBytes }
        },
        reference: usable
          ? async () => {
              const measured = await runReference(context, python, 'pretrain.py', own)
              losses.reference = lossesOf(measured.report)
              return { value: numberOf(measured.report, 'rate'), peakBytes: measured.peakBytes }
            }
          : null,
      },
      3,
    )
    const notes = [requireAgreement(losses)]
    parts.push({ name: mode, unit: 'tokens/s', ...sides, goal: WAYS[mode], notes })
  }
  await rm(model, { recursive: true })
  return parts
}

/** Base, grown and trained model of the 1.1 B shape. */
const LARGE_BYTES = 9e9
const LARGE_MEMORY = '12GB'
const LARGE_MEMORY_BYTES = 12e9
const LARGE_STEPS = 3

export const largePretrainBenchmark: Benchmark = {
  name: 'pretrain-1.1b',
  description:
    `tokens a second of lesa pretrain --memory ${LARGE_MEMORY} on a synthetic 1.1 B-parameter Llama, 22 → 33 layers, ` +
    `${LARGE_STEPS} steps of 1,024 tokens (2 windows of 512), against transformers in float32 with gradient ` +
    'checkpointing of every layer, the model loaded beforehand',
  run: runLarge,
}

async function runLarge(context: BenchContext): Promise<Part[]> {
  const { quick, root, work, python, signal, say } = context
  const { name } = largePretrainBenchmark
  const [base, model, out] = ['base', 'grown', 'trained'].map((folder) => join(work, folder)) as [
    string,
    string,
    string,
  ]
  if (!quick) await requireSpace(work, LARGE_BYTES)
  say(`${name}: writing the model`)
  await synthesize(context, base, quick ? llamaConfig(TINY) : 'llama-1.1b', 22)
  const demo = join(root, 'resources/demo-model')
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(demo, file), join(base, file))
  }
  const grow = ['expand', base, '--method', 'neighbour-mean', '--out', model]
  await runLesa(context, grow, { memory: false })
  await rm(base, { recursive: true })
  const text = join(work, 'text.txt')
  await writeFile(text, (await readFile(join(demo, 'eval.txt'), 'utf8')).slice(0, 24_000))
  const [batch, length] = quick ? [2, 16] : [2, 512]
  const usable = python !== null && (await hasModule(python, 'transformers', signal))
  const options = {
    text: [text],
    order: 'sequential',
    evalShare: 0,
    steps: LARGE_STEPS,
    batch,
    context: length,
    lr: [LEARNING_RATE],
    schedule: 'constant',
    warmup: 0,
    device: 'cpu',
  } as const
  const spec = { ...options, out, memory: LARGE_MEMORY_BYTES }
  const estimate = await estimateJob(
    context,
    buildPretrainSpec([{ path: model, name: 'grown' }], undefined, spec, work),
  )
  const losses: { ours?: number[]; reference?: number[] } = {}
  const sides = await takeTurns(
    context,
    name,
    {
      ours: async () => {
        const flags = Object.entries(options).flatMap(([key, value]) => [
          `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
          String(value),
        ])
        const args = ['pretrain', model, '--out', out, '--memory', LARGE_MEMORY, ...flags]
        const run = await runLesa(context, [...args, '--json'])
        await rm(out, { recursive: true })
        const { results } = JSON.parse(run.stdout) as { results: Report[] }
        const result = results[0] ?? {}
        losses.ours = (result['loss'] as [number, number][]).map(([, value]) => value)
        const rateOf = numberOf(result, 'tokens') / numberOf(result, 'seconds')
        return { value: rateOf, peakBytes: run.peakBytes }
      },
      reference: usable
        ? async () => {
            const task = { model, text, steps: LARGE_STEPS, warmup: 0, batch, context: length }
            const settings = { mode: 'recompute', lr: LEARNING_RATE }
            const { report, peakBytes } = await runReference(context, python, 'pretrain.py', {
              ...task,
              ...settings,
            })
            losses.reference = lossesOf(report)
            return { value: numberOf(report, 'rate'), peakBytes }
          }
        : null,
    },
    1,
  )
  await rm(model, { recursive: true })
  const notes = [requireAgreement(losses)]
  return [{ name, unit: 'tokens/s', ...sides, goal: WAYS.recompute, estimate, notes }]
}

function randomIds(count: number, vocabulary: number): Int32Array {
  const random = new Random(0, 'windows')
  return Int32Array.from({ length: count }, () => random.below(vocabulary))
}

function lossesOf({ losses }: Report): number[] {
  if (Array.isArray(losses) && losses.length > 0) return losses.map(Number)
  throw new Error('The report has no losses.')
}

/** A fast wrong answer is none. @returns What can be said of the losses. */
function requireAgreement(losses: { ours?: number[]; reference?: number[] }): string {
  const { ours = [], reference } = losses
  const course = `loss ${ours[0]?.toFixed(4)} … ${ours.at(-1)?.toFixed(4)}`
  if (reference === undefined) return course
  const apart = reference.map((loss, index) => Math.abs((ours[index] ?? NaN) / loss - 1))
  const most = Math.max(...apart)
  if (most <= TOLERANCE) return `${course}, at most ${most.toExponential(1)} from the reference’s`
  throw new Error(
    `The losses are ${ours.join(', ')}, those of the reference ${reference.join(', ')}.`,
  )
}
