import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { estimateExpand } from '../lib/estimate'
import { numberOf, runLesa, runReference, takeTurns } from '../lib/measure'
import { llamaConfig, synthesize, TINY } from '../lib/models'
import { hasModule } from '../lib/python'
import { requireSpace } from '../lib/space'
import type { BenchContext, Benchmark, Part } from '../lib/types'

const LAYERS = 22
/** The later half, as the methods' own default. */
const GAPS = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
const MEMORY = { text: '8GB', bytes: 8e9 }

/** Base, directions, fitted matrices and output of the 1.1 B shape. */
const NEEDED_BYTES = 9e9

export const fittedBenchmark: Benchmark = {
  name: 'fitted',
  description:
    'lesa expand --method fitted of a synthetic 1.1 B-parameter Llama, 22 → 33 layers, one round on 16,384 tokens under ' +
    `--memory ${MEMORY.text}, start of the program to finished folder, against the same round in PyTorch from files to files ` +
    '(its start not counted)',
  run,
}

async function run(context: BenchContext): Promise<Part[]> {
  const { quick, root, work, python, signal, say } = context
  const { name } = fittedBenchmark
  const [model, out] = [join(work, 'base'), join(work, 'grown')]
  if (!quick) await requireSpace(work, NEEDED_BYTES)
  say(`${name}: writing the base model`)
  await synthesize(context, model, quick ? llamaConfig(TINY) : 'llama-1.1b', LAYERS)
  const demo = join(root, 'resources/demo-model')
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(demo, file), join(model, file))
  }
  const text = join(root, 'resources/demo-texts/ledger.txt')
  const [tokens, length] = quick ? [256, 32] : [16_384, 512]
  const usable = python !== null && (await hasModule(python, 'transformers', signal))
  const estimate = await estimateExpand(context, model, {
    method: 'fitted',
    out,
    device: 'cpu',
    text,
    calibrationTokens: tokens,
    calibrationContext: length,
    memory: MEMORY.bytes,
  })
  const losses: Partial<Record<'ours' | 'reference', readonly [number, number]>> = {}
  const sides = await takeTurns(
    context,
    name,
    {
      ours: async () => {
        const args = ['expand', model, '--out', out, '--method', 'fitted', '--text', text]
        const sizes = ['--calibration-tokens', `${tokens}`, '--calibration-context', `${length}`]
        const bounds = ['--memory', MEMORY.text, '--device', 'cpu', '--overwrite', '--json']
        const run = await runLesa(context, [...args, ...sizes, ...bounds])
        const { fit } = JSON.parse(run.stdout) as {
          fit: { unseen: { before: number; after: number } }
        }
        losses.ours = [fit.unseen.before, fit.unseen.after]
        await rm(out, { recursive: true })
        return { value: run.seconds, peakBytes: run.peakBytes }
      },
      reference: usable
        ? async () => {
            const task = { model, out, text, gaps: GAPS, tokens, context: length }
            const { report, peakBytes } = await runReference(context, python, 'fit.py', task)
            losses.reference = [numberOf(report, 'before'), numberOf(report, 'after')]
            await rm(out, { recursive: true, force: true })
            return { value: numberOf(report, 'seconds'), peakBytes }
          }
        : null,
    },
    1,
  )
  await rm(model, { recursive: true })
  const told = Object.entries(losses).map(
    ([side, [before, after]]) => `${side}: loss ${before.toFixed(3)} → ${after.toFixed(3)}`,
  )
  return [{ name, unit: 's', ...sides, goal: { ratio: 1 }, estimate, notes: told }]
}
