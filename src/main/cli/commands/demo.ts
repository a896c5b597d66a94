import { basename, join, resolve } from 'node:path'
import type { EvaluateSpec, ExpandResult, PerplexityResult } from '@shared/jobs'
import { METHOD_NAMES, type Method } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { readRace } from '@shared/pretrainReading'
import { formatDuration } from '@shared/units'
import type { EngineClient } from '../../jobs/EngineClient'
import { readDemo } from '../demoReading'
import { buildExpandSpec, type ExpandOptions } from '../expandSpec'
import { runJobIn, startEngine } from '../job'
import { EXIT_OK } from '../exitCodes'
import { formatRace } from '../pretrainResults'
import { buildPretrainSpec } from '../pretrainSpec'
import type { CommandContext } from '../program'
import { formatPerplexity, shortPath } from '../results'
import { formatTable } from '../table'

type Growth = Omit<ExpandOptions, 'out'>

/** Where all but SOLAR, which has no say in that, put their new layers. */
const GAPS = '5-10'

/** Of `resources`: what the model knows, what it does not, and other text of that kind to measure on. */
const TEXTS = {
  known: 'demo-model/eval.txt',
  far: 'demo-texts/ledger.txt',
  farOther: 'demo-texts/ledger-eval.txt',
} as const

/** Each grows the bundled model from 12 to 18 layers, so that what is compared has one size. */
const RUNS: readonly Growth[] = [
  { method: 'lesa', preset: 'paper', holdout: false, gaps: GAPS },
  { method: 'fitted', text: TEXTS.far, gaps: GAPS },
  { method: 'llama-pro', gaps: GAPS },
  { method: 'solar', overlap: 3 },
  { method: 'neighbour-mean', gaps: GAPS },
  { method: 'noise', preset: 'paper', gaps: GAPS },
]

/**
 * What is trained against each other, beside LLaMA Pro and the mean of the table. Only a predictor that has been trained
 * long enough gives weights of its targets' size, which a start is made of; `matched` trains twenty times as long as this,
 * which takes minutes.
 */
const RACED_STEPS = 500
const RACED: readonly Growth[] = [
  { method: 'lesa', preset: 'matched', steps: RACED_STEPS, holdout: false, gaps: GAPS },
  { method: 'noise', preset: 'matched', steps: RACED_STEPS, gaps: GAPS },
]
const RACE_ORDER: readonly Method[] = ['lesa', 'fitted', 'llama-pro', 'neighbour-mean', 'noise']

/** Over in half a minute on two cores. */
const RACE = { steps: 50, context: 128, batch: 3, lr: [3e-3], evalEvery: 10 }

/** Where on the way losses are shown, of all steps. */
const SHOWN = [0, 0.2, 0.4, 0.6, 0.8, 1]

/**
 * Grows the bundled model with six methods, measures what that did to its perplexity on a text that it knows and on one
 * that it does not, trains the new layers of five starts on the second kind, and says what the numbers mean.
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
    runs: readonly Growth[],
    folder: string,
  ): Promise<readonly ExpandResult[] | number> {
    const { io } = this.#context
    const grown: ExpandResult[] = []
    for (const run of runs) {
      io.stderr.write(`\n${METHOD_NAMES[run.method]}\n`)
      const text = run.text === undefined ? {} : { text: this.#resource(run.text) }
      const options = { ...run, ...text, out: join(folder, run.method), overwrite: true }
      const spec = await buildExpandSpec(this.#model, options, {
        cwd: io.cwd,
        shape: () => Promise.reject(new Error('No option of the demo asks for it.')),
      })
      const end = await runJobIn(this.#engine, spec, this.#context)
      if ('exitCode' in end) return end.exitCode
      grown.push(end.result)
    }
    return grown
  }

  async #measure(grown: readonly ExpandResult[]): Promise<number> {
    const { io } = this.#context
    const measured: PerplexityResult[][] = []
    for (const text of [TEXTS.known, TEXTS.farOther]) {
      io.stderr.write(`\nPerplexity on ${basename(text)}\n`)
      const spec: EvaluateSpec = {
        kind: 'evaluate',
        models: [this.#model, ...grown.map(({ out }) => out)],
        text: this.#resource(text),
        perLine: false,
        device: 'auto',
      }
      const end = await runJobIn(this.#engine, spec, this.#context)
      if ('exitCode' in end) return end.exitCode
      measured.push([...end.result.results])
    }
    const [known, far] = measured as [PerplexityResult[], PerplexityResult[]]
    const methods = [null, ...grown.map(({ method }) => method)]
    io.stdout.write(`${formatDemo(known, far, grown)}\n`)
    io.stdout.write(
      `On ${basename(TEXTS.known)}, which the model knows: ${readDemo(basename(TEXTS.known), methods, known)}\n\n` +
        `On ${basename(TEXTS.farOther)}, which it does not: ${readDemo(basename(TEXTS.farOther), methods, far)}\n` +
        'Which start trains best shows only in training.\n',
    )
    io.stdout.write(
      `\nThe grown checkpoint, in Hugging Face format: ${shortPath(join(this.#folder, 'lesa'), io.cwd)}\n` +
        `The others lie beside it in ${shortPath(this.#folder, io.cwd)}.\n`,
    )
    return EXIT_OK
  }

  #resource(path: string): string {
    return join(this.#context.paths.resources, path)
  }

  async #race(grown: readonly ExpandResult[]): Promise<number> {
    const { io } = this.#context
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
        text: [this.#resource(TEXTS.far)],
        evalText: this.#resource(TEXTS.farOther),
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
        `${PRESET_SETTINGS.matched.length.value.toLocaleString('en')} and takes minutes. The fitted start had seen ` +
        `${basename(TEXTS.far)} before its first step, once.\n` +
        `Reading: ${readRace(results, eval_tokens)}\n` +
        `\nThe trained checkpoints: ${shortPath(spec.out, io.cwd)}\n`,
    )
    return EXIT_OK
  }
}

/** Both texts' perplexities, model by model. */
function formatDemo(
  known: readonly PerplexityResult[],
  far: readonly PerplexityResult[],
  grown: readonly ExpandResult[],
): string {
  const [base] = known
  const right = 'right' as const
  return formatTable(
    [
      { title: 'model' },
      { title: 'layers', align: right },
      { title: 'known text', align: right },
      { title: 'against base', align: right },
      { title: 'far text', align: right },
      { title: 'time to grow', align: right },
    ],
    known.map(({ num_hidden_layers: layers, perplexity }, index) => {
      const run = grown[index - 1]
      return [
        run ? METHOD_NAMES[run.method] : 'base',
        String(layers),
        formatPerplexity(perplexity),
        run ? percentage(perplexity / (base?.perplexity ?? NaN) - 1) : '',
        formatPerplexity(far[index]?.perplexity ?? NaN),
        run ? formatDuration(run.seconds * 1000) : '',
      ]
    }),
  )
}

/** `+0.241 %`; what rounds to nothing has no sign. */
function percentage(share: number): string {
  const text = (Math.abs(share) * 100).toFixed(3)
  const sign = Number(text) === 0 ? '' : share < 0 ? '−' : '+'
  return `${sign}${text} %`
}
