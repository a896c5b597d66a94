import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { estimateJob } from '../lib/estimate'
import { hasModule } from '../lib/python'
import { numberOf, runLesa, runReference, takeTurns } from '../lib/measure'
import { llamaConfig, synthesize, TINY } from '../lib/models'
import type { BenchContext, Benchmark, Part } from '../lib/types'

/** Both sides compute in float32 from the same weights and ids. */
const TOLERANCE = 1e-3

export const evaluateBenchmark: Benchmark = {
  name: 'evaluate',
  description:
    'predicted tokens a second of lesa evaluate (8 layers, hidden 1024, MLP 2816, vocabulary 32,000, context 512), reading of ' +
    'weights and tokenising included, against transformers in float32 with the model loaded beforehand, the faster ' +
    'of batches of 1 and 4 windows',
  run,
}

async function run(context: BenchContext): Promise<Part[]> {
  const { quick, root, work, python, say, signal } = context
  const name = 'evaluate'
  const model = join(work, 'model')
  const text = join(work, 'text.txt')
  const config = quick
    ? llamaConfig(TINY)
    : llamaConfig({
        hidden: 1024,
        intermediate: 2816,
        heads: 16,
        keyValueHeads: 8,
        layers: 8,
        vocabulary: 32_000,
      })
  say(`${name}: writing the model`)
  await synthesize(context, model, config, quick ? 2 : 8)
  const demo = join(root, 'resources/demo-model')
  await copyFile(join(demo, 'tokenizer.json'), join(model, 'tokenizer.json'))
  const full = await readFile(join(demo, 'eval.txt'), 'utf8')
  await writeFile(text, full.slice(0, quick ? 2000 : 24_000))
  const length = quick ? 64 : 512
  const usable = python !== null && (await hasModule(python, 'transformers', signal))
  let took = ''
  const perplexities: { ours?: number; reference?: number } = {}
  const estimate = await estimateJob(context, {
    kind: 'evaluate',
    models: [model],
    text,
    context: length,
    perLine: false,
    device: 'cpu',
  })
  const sides = await takeTurns(
    context,
    name,
    {
      ours: async () => {
        const args = ['evaluate', model, '--text', text, '--context', String(length)]
        const run = await runLesa(context, [...args, '--device', 'cpu', '--json'])
        const { results } = JSON.parse(run.stdout) as { results: Record<string, unknown>[] }
        const result = results[0] ?? {}
        perplexities.ours = numberOf(result, 'perplexity')
        took = `ours predicted ${numberOf(result, 'predicted')} tokens in ${numberOf(result, 'seconds').toFixed(1)} s`
        return {
          value: numberOf(result, 'predicted') / numberOf(result, 'seconds'),
          peakBytes: run.peakBytes,
        }
      },
      reference: usable
        ? async () => {
            const task = { model, text, context: length }
            const run = await runReference(context, python, 'evaluate.py', task)
            perplexities.reference = numberOf(run.report, 'perplexity')
            return { value: numberOf(run.report, 'rate'), peakBytes: run.peakBytes }
          }
        : null,
    },
    3,
  )
  await rm(model, { recursive: true })
  requireAgreement(perplexities)
  return [{ name, unit: 'tokens/s', ...sides, goal: { ratio: 1 }, estimate, notes: [took] }]
}

function requireAgreement({ ours, reference }: { ours?: number; reference?: number }): void {
  if (reference === undefined || ours === undefined) return
  if (Math.abs(ours - reference) <= TOLERANCE * reference) return
  throw new Error(`The perplexity is ${ours}, the reference has ${reference}.`)
}
