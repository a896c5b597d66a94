import { join, resolve } from 'node:path'
import type { EvaluateSpec, ExpandResult, PerplexityResult } from '@shared/jobs'
import { METHOD_NAMES, type Method } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { readRace } from '@shared/pretrainReading'
import { formatDuration } from '@shared/units'
import type { EngineClient } from '../../jobs/EngineClient'
import { readDemo, type DemoRow } from '../demoReading'
import { buildExpandSpec, type ExpandOptions } from '../expandSpec'
import { runJobIn, startEngine } from '../job'
import { EXIT_OK } from '../exitCodes'
import { formatRace } from '../pretrainResults'
import { buildPretrainSpec } from '../pretrainSpec'
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
 * What is trained against each other, beside LLaMA Pro and the mean of the table. Only a predictor that has been trained
 * long enough gives weights of its targets' size, which a start is made of; `matched` trains twenty times as long as this,
 * which takes minutes.
 */
const RACED_STEPS = 500
const RACED: readonly Omit<ExpandOptions, 'out'>[] = [
  { method: 'lesa', preset: 'matched', steps: RACED_STEPS },
  { method: 'noise', preset: 'matched', steps: RACED_STEPS },
]
const RACE_ORDER: readonly Method[] = ['lesa', 'llama-pro', 'neighbour-mean', 'noise']

/** Over in half a minute on two cores. */
const RACE = { steps: 50, context: 128, batch: 3, lr: [3e-3], evalEvery: 10, evalShare: 0.02 }

/** Where on the way losses are shown, of all steps. */
const SHOWN = [0, 0.2, 0.4, 0.6, 0.8, 1]

/**
 * Grows the bundled model with five methods, measures what that did to its perplexity on the bundled text, trains the
 * new layers of four starts on a text that the model does not know, and says what the numbers mean.
 *
 * @param folder Takes the checkpoints; relative to the current folder.
 */
export async function demo(folder: string, context: CommandContext): Promise<number> {
  const engine = startEngine(context)
  try {
    return await new Demo(engine, resolve(context.io.cwd, folder), context).run()
  } finally {
    await engine.dispose()
  }
}

class Demo {
  readonly #engine: EngineClient
  readonly #folder: string
  readonly #context: CommandContext
  readonly #model: string

  constructor(engine: EngineClient, folder: string, context: CommandContext) {
    this.#engine = engine
    this.#folder = folder
    this.#context = context
    this.#model = join(context.paths.resources, 'demo-model')
  }

  async run(): Promise<number> {
    const grown = await this.#growAll(RUNS, this.#folder)
    if (typeof grown === 'number') return grown
    const measured = await this.#measure(grown)
    if (measured !== EXIT_OK) return measured
    return this.#race(grown)
  }

  /** Their results, or the exit code of what failed. */
  async #growAll(
    runs: readonly Omit<ExpandOptions, 'out'>[],
    folder: string,
  ): Promise<readonly ExpandResult[] | number> {
    const { io } = this.#context
    const grown: ExpandResult[] = []
    for (const run of runs) {
      io.stderr.write(`\n${METHOD_NAMES[run.method]}\n`)
      const options = { ...run, out: join(folder, run.method), overwrite: true }
      const spec = await buildExpandSpec(this.#model, options, {
        cwd: io.cwd,
        countLayers: () => Promise.reject(new Error('No option of the demo asks for it.')),
      })
      const end = await runJobIn(this.#engine, spec, this.#context)
      if ('exitCode' in end) return end.exitCode
      grown.push(end.result)
    }
    return grown
  }

  async #measure(grown: readonly ExpandResult[]): Promise<number> {
    const { io } = this.#context
    io.stderr.write('\nPerplexity\n')
    const spec: EvaluateSpec = {
      kind: 'evaluate',
      models: [this.#model, ...grown.map(({ out }) => out)],
      text: join(this.#model, 'eval.txt'),
      perLine: false,
      device: 'auto',
    }
    const end = await runJobIn(this.#engine, spec, this.#context)
    if ('exitCode' in end) return end.exitCode
    io.stdout.write(formatDemo(toRows(end.result.results, grown)))
    io.stdout.write(
      `\nThe grown checkpoint, in Hugging Face format: ${shortPath(join(this.#folder, 'lesa'), io.cwd)}\n` +
        `The others lie beside it in ${shortPath(this.#folder, io.cwd)}.\n`,
    )
    return EXIT_OK
  }

  async #race(grown: readonly ExpandResult[]): Promise<number> {
    const { io, paths } = this.#context
    io.stderr.write('\nA race: their new layers trained on a text that the model does not know\n')
    const anew = await this.#growAll(RACED, join(this.#folder, 'race'))
    if (typeof anew === 'number') return anew
    const starts = RACE_ORDER.flatMap((method) => {
      const start = [...anew, ...grown].find((result) => result.method === method)
      return start ? [{ path: start.out, name: METHOD_NAMES[method] }] : []
    })
    const spec = buildPretrainSpec(
      starts,
      this.#model,
      {
        ...RACE,
        text: [join(paths.resources, 'demo-texts', 'manual.txt')],
        out: join(this.#folder, 'trained'),
        overwrite: true,
      },
      io.cwd,
    )
    io.stderr.write('\nTraining\n')
    const end = await runJobIn(this.#engine, spec, this.#context)
    if ('exitCode' in end) return end.exitCode
    const { results, eval_tokens } = end.result
    io.stdout.write(
      `\n${formatRace(end.result, SHOWN)}\n` +
        `LESA and noise were grown anew for this, with ${RACED_STEPS} mini-batches a weight type; --preset matched has ` +
        `${PRESET_SETTINGS.matched.length.value.toLocaleString('en')} and takes minutes. LLaMA Pro's new layers are spread ` +
        'over the depth, the others lie in its later half.\n' +
        `Reading: ${readRace(results, eval_tokens)}\n` +
        `\nThe trained checkpoints: ${shortPath(spec.out, io.cwd)}\n`,
    )
    return EXIT_OK
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
