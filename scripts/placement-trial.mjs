#!/usr/bin/env node
/**
 * @file Tests whether the scores of `lesa place` say where a trained layer pays: one LLaMA Pro block in one gap at a time,
 * trained alone, and the rank correlation of every score with the loss after training. Prints the table of
 * docs/placement.md.
 *
 * node scripts/placement-trial.mjs MODEL --text FILE [--steps N] [--marks 25,100] [--lr X] [--batch N] [--context N]
 *   [--seeds N] [--candidates METHOD,…] [--keep FILE]
 *
 * The text's last part is only measured on: neither scores nor trainings see it.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const HELD_SHARE = 0.06
/** As many as one training takes beside each other. */
const AT_ONCE = 16

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string' },
    steps: { type: 'string', default: '100' },
    marks: { type: 'string', default: '25,100' },
    lr: { type: 'string', default: '3e-3' },
    batch: { type: 'string', default: '2' },
    context: { type: 'string', default: '128' },
    seeds: { type: 'string', default: '1' },
    tokens: { type: 'string', default: '4096' },
    candidates: { type: 'string', default: '' },
    keep: { type: 'string' },
  },
})
const [model] = positionals
if (model === undefined || values.text === undefined) {
  process.stderr.write('usage: node scripts/placement-trial.mjs MODEL --text FILE [options]\n')
  process.exit(2)
}
const { steps, lr, batch, context, tokens } = values
const marks = values.marks.split(',').map(Number)
const seeds = Array.from({ length: Number(values.seeds) }, (_, seed) => seed)

const folder = await mkdtemp(join(tmpdir(), 'placement-trial-'))
try {
  const found = await trial()
  if (values.keep) await writeFile(values.keep, `${JSON.stringify(found, null, 1)}\n`)
  process.stdout.write(tableOf(found))
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function trial() {
  const [train, held] = await split(values.text)
  const { num_hidden_layers: layers } = lesa('inspect', model)
  const gaps = Array.from({ length: layers }, (_, gap) => gap)
  const candidates = values.candidates.split(',').filter(Boolean)
  const others = candidates.map((method) =>
    grow(`candidate-${method}`, ['--method', method, '--gaps', `0-${layers - 2}`]),
  )
  const places = lesa(
    'place',
    model,
    ...['--text', train, '--context', context, '--tokens', tokens],
    ...(others.length > 0 ? ['--candidate', ...others] : []),
  )
  const grown = gaps.map((gap) =>
    grow(`gap-${gap}`, ['--method', 'llama-pro', '--gaps', String(gap)]),
  )
  const runs = []
  for (const seed of seeds) {
    for (let first = 0; first < layers; first += AT_ONCE) {
      const some = grown.slice(first, first + AT_ONCE)
      const out = join(folder, `trained-${seed}-${first}`)
      const { results } = lesa(
        'pretrain',
        ...some,
        ...['--text', train, '--eval-text', held, '--out', out],
        ...['--steps', steps, '--context', context, '--batch', batch, '--lr', lr],
        ...['--schedule', 'constant', '--warmup', '10', '--weight-decay', '0'],
        ...['--seed', String(seed), '--eval-every', String(Math.min(...marks))],
      )
      await rm(out, { recursive: true, force: true })
      runs.push(...results.map(({ eval: curve }, index) => ({ gap: first + index, seed, curve })))
    }
  }
  const losses = gaps.map((gap) =>
    marks.map((mark) => {
      const own = runs.filter((run) => run.gap === gap)
      return mean(own.map(({ curve }) => curve.find(([step]) => step === mark)?.[1] ?? NaN))
    }),
  )
  return { model, text: values.text, places, candidates, losses }
}

/** Runs a command of the program and reads its JSON. */
function lesa(...words) {
  const script = join(import.meta.dirname, 'lesa.mjs')
  const { status, stdout } = spawnSync(process.execPath, [script, ...words, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`lesa ${words.join(' ')} ended with ${status}:\n${stdout}`)
  return JSON.parse(stdout)
}

function grow(name, options) {
  const out = join(folder, name)
  lesa('expand', model, '--out', out, ...options)
  return out
}

/** The text's first lines and its last ones, as files. */
async function split(file) {
  const lines = (await readFile(file, 'utf8')).split('\n')
  const cut = Math.round(lines.length * (1 - HELD_SHARE))
  const parts = [lines.slice(0, cut), lines.slice(cut)]
  await mkdir(folder, { recursive: true })
  return Promise.all(
    parts.map(async (part, index) => {
      const target = join(folder, ['train.txt', 'held.txt'][index])
      await writeFile(target, `${part.join('\n')}\n`)
      return target
    }),
  )
}

function mean(numbers) {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length
}

function scoresOf({ places, candidates }) {
  const { layers, gaps, angular } = places
  const names = ['copy', 'mean', ...candidates]
  const gradient = (index) => (gap) => gaps[gap].candidates[index]?.gradient ?? null
  return {
    'gap number': (gap) => gap,
    'fit: loss with one fitted block': (gap) => gaps[gap].fit.loss,
    'fit, over the cost of training there': (gap) =>
      (gaps[gap].fit.loss - places.base_loss) / (3 + gaps.length - 1 - gap),
    'slope ‖g‖': (gap) => gaps[gap].slope,
    ...Object.fromEntries(
      names.map((name, index) => [`gradient score of ${name}`, gradient(index)]),
    ),
    'block influence': (gap) => layers[gap].influence,
    'relative update': (gap) => layers[gap].update,
    'angle over 4 layers': (gap) => angular[3]?.[gap] ?? null,
    'skip effect': (gap) => layers[gap].skip.loss,
    'repeat effect': (gap) => layers[gap].repeat.loss,
    'cosine of the neighbours’ weights': (gap) => gaps[gap].weight_cosine,
    'CKA of the neighbours': (gap) => gaps[gap].cka,
  }
}

function tableOf(found) {
  const { losses, places } = found
  const lines = [
    `Losses of the held-out text after ${marks.join(' and ')} steps, by gap (base ${places.base_loss.toFixed(3)} on the measured share):`,
    ...losses.map((each, gap) => `  ${gap}: ${each.map((loss) => loss.toFixed(4)).join('  ')}`),
    '',
    `| score | ${marks.map((mark) => `after ${mark} steps`).join(' | ')} |`,
    `|---|${marks.map(() => '---').join('|')}|`,
    ...Object.entries(scoresOf(found)).map(([name, score]) => {
      const cells = marks.map((_, index) => {
        const pairs = losses
          .map((each, gap) => [score(gap), each[index]])
          .filter(([a, b]) => a !== null && Number.isFinite(b))
        return pairs.length < 3 ? '–' : spearman(pairs).toFixed(2).replace('-', '−')
      })
      return `| ${name} | ${cells.join(' | ')} |`
    }),
  ]
  return `${lines.join('\n')}\n`
}

/** Spearman's rank correlation; equal values share their mean rank. */
function spearman(pairs) {
  const [a, b] = [0, 1].map((side) => ranks(pairs.map((pair) => pair[side])))
  const [ma, mb] = [mean(a), mean(b)]
  const sum = (of) => a.reduce((total, _, index) => total + of(index), 0)
  const covariance = sum((index) => (a[index] - ma) * (b[index] - mb))
  return (
    covariance /
    Math.sqrt(sum((index) => (a[index] - ma) ** 2) * sum((index) => (b[index] - mb) ** 2))
  )
}

function ranks(numbers) {
  return numbers.map((value) => {
    const below = numbers.filter((other) => other < value).length
    const equal = numbers.filter((other) => other === value).length
    return below + (equal - 1) / 2
  })
}
