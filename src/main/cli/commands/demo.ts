import { join, resolve } from 'node:path'
import type { EvaluateSpec, ExpandResult, PerplexityResult } from '@shared/jobs'
import { METHOD_NAMES, type Method } from '@shared/methods'
import { formatDuration } from '@shared/units'
import { readDemo, type DemoRow } from '../demoReading'
import { buildExpandSpec, type ExpandOptions } from '../expandSpec'
import { runJobIn, startEngine, type JobEnd } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatPerplexity, shortPath } from '../results'
import { formatTable } from '../table'

/** Each grows the bundled model from 12 to 18 layers, so that what is compared has one size. */
const RUNS: readonly Omit<ExpandOptions, 'out'>[] = [
  { method: 'lesa', preset: 'paper' },
  { method: 'llama-pro', groups: 6 },
  { method: 'solar', overlap: 3 },
  { method: 'neighbour-mean' },
  { method: 'noise', preset: 'paper' },
]

/**
 * Grows the bundled model with five methods, measures what that did to its perplexity on the bundled text and says
 * what the numbers mean.
 *
 * @param folder Takes one checkpoint a method; relative to the current folder.
 */
export async function demo(folder: string, context: CommandContext): Promise<number> {
  const { io, paths } = context
  const model = join(paths.resources, 'demo-model')
  const outOf = (method: Method): string => resolve(io.cwd, folder, method)
  const engine = startEngine(context)
  try {
    const grown: ExpandResult[] = []
    for (const run of RUNS) {
      io.stderr.write(`\n${METHOD_NAMES[run.method]}\n`)
      const options = { ...run, out: outOf(run.method), overwrite: true }
      const spec = await buildExpandSpec(model, options, {
        cwd: io.cwd,
        countLayers: () => Promise.reject(new Error('No option of the demo asks for it.')),
      })
      const end = await runJobIn(engine, spec, context)
      if ('exitCode' in end) return end.exitCode
      grown.push(end.result)
    }
    io.stderr.write('\nPerplexity\n')
    const spec: EvaluateSpec = {
      kind: 'evaluate',
      models: [model, ...grown.map(({ out }) => out)],
      text: join(model, 'eval.txt'),
      perLine: false,
      device: 'auto',
    }
    const end: JobEnd<{ results: readonly PerplexityResult[] }> = await runJobIn(
      engine,
      spec,
      context,
    )
    if ('exitCode' in end) return end.exitCode
    io.stdout.write(formatDemo(toRows(end.result.results, grown)))
    io.stdout.write(
      `\nThe grown checkpoint, in Hugging Face format: ${shortPath(outOf('lesa'), io.cwd)}\n` +
        `The others lie beside it in ${shortPath(resolve(io.cwd, folder), io.cwd)}.\n`,
    )
    return EXIT_OK
  } finally {
    await engine.dispose()
  }
}

function toRows(
  results: readonly PerplexityResult[],
  grown: readonly ExpandResult[],
): readonly DemoRow[] {
  return results.map((result, index) => {
    const run = grown[index - 1]
    return {
      method: run?.method ?? null,
      layers: result.num_hidden_layers,
      perplexity: result.perplexity,
      seconds: run?.seconds ?? null,
    }
  })
}

/** The table, and its reading below it. */
function formatDemo(rows: readonly DemoRow[]): string {
  const base = rows.find(({ method }) => method === null)?.perplexity ?? NaN
  const right = 'right' as const
  const table = formatTable(
    [
      { title: 'model' },
      { title: 'layers', align: right },
      { title: 'perplexity', align: right },
      { title: 'against base', align: right },
      { title: 'time to grow', align: right },
    ],
    rows.map(({ method, layers, perplexity, seconds }) => [
      method === null ? 'base' : METHOD_NAMES[method],
      String(layers),
      formatPerplexity(perplexity),
      method === null ? '' : percentage(perplexity / base - 1),
      seconds === null ? '' : formatDuration(seconds * 1000),
    ]),
  )
  return `${table}\n${readDemo(rows)}\n`
}

/** `+0.241 %`; what rounds to nothing has no sign. */
function percentage(share: number): string {
  const text = (Math.abs(share) * 100).toFixed(3)
  const sign = Number(text) === 0 ? '' : share < 0 ? '−' : '+'
  return `${sign}${text} %`
}
