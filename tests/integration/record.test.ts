/**
 * What the program writes and says, byte for byte, against what it wrote and said before. A change that is meant is
 * recorded with `npm test -- tests/integration/record.test.ts -u` and read in the diff.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { version } from '../../package.json'
import { built, PROJECT } from '../support/built'

const model = join(PROJECT, 'resources/demo-model')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-record-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the built command line; paths, the version and times are replaced by words. */
function lesa(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [built('main/cli.js'), ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  return { code: status, stdout: neutral(stdout), stderr: neutral(stderr) }
}

function neutral(text: string): string {
  return text
    .replaceAll(folder, 'WORK')
    .replaceAll(PROJECT, 'PROJECT')
    .replaceAll(version, 'VERSION')
    .replace(/"seconds": ?[\d.e-]+/g, '"seconds":0')
}

const parsed = (text: string): unknown => JSON.parse(text)

const sha256 = (content: Buffer | string): string =>
  createHash('sha256').update(content).digest('hex')

/** Every file's digest, those of texts without the version. */
function digests(out: string): Record<string, string> {
  const names = readdirSync(out, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(out, name)).isFile())
      .map((name) => {
        const content = readFileSync(join(out, name))
        const isText = /\.(json|md)$/.test(name)
        return [
          relative(out, join(out, name)),
          sha256(isText ? neutral(content.toString()) : content),
        ]
      }),
  )
}

/** The header of a safetensors file: names, element types, shapes, places. */
function layout(file: string): unknown {
  const content = readFileSync(file)
  const length = Number(content.readBigUInt64LE(0))
  return JSON.parse(content.subarray(8, 8 + length).toString())
}

/** Methods that copy or average: the same bytes on every machine. */
const EXACT: Readonly<Record<string, readonly string[]>> = {
  'llama-pro': ['llama-pro'],
  'llama-pro-5': ['llama-pro', '--groups', '5', '--dtype', 'f16'],
  solar: ['solar'],
  'solar-2': ['solar', '--overlap', '2', '--max-shard-size', '1MB'],
  interpolation: ['interpolation'],
  'interpolation-gaps': ['interpolation', '--gaps', '0,11,5-7,5'],
  stack: ['stack'],
  'stack-2-4': ['stack', '--repeat', '2-4'],
  'neighbour-mean': ['neighbour-mean'],
  'neighbour-mean-gaps': ['neighbour-mean', '--gaps', '0-10,4,4', '--rest', 'first'],
  'neighbour-mean-f32': ['neighbour-mean', '--gaps', '3,7,7,7', '--dtype', 'f32'],
}

/** Methods that learn: sums in another order on another processor end in other bits, so their layout is recorded. */
const LEARNED: Readonly<Record<string, readonly string[]>> = {
  lesa: ['lesa', '--steps', '5'],
  'lesa-gaps': ['lesa', '--gaps', '3,7,7,7', '--steps', '5', '--rest', 'first', '--dtype', 'f32'],
  noise: ['noise', '--steps', '5', '--no-svd'],
}

describe('what a method writes stays the same', () => {
  it.each(Object.entries(EXACT))('%s', async (name, [method = '', ...options]) => {
    const out = join(folder, name)
    const args = ['expand', model, '--out', out, '--method', method, '--no-recipes', ...options]
    const { code, stdout } = lesa(...args, '--json')
    expect(code).toBe(0)
    await matches(name, { result: parsed(stdout), files: digests(out) })
  })

  it.each(Object.entries(LEARNED))('%s, but for its numbers', async (name, [method = '', ...o]) => {
    const out = join(folder, name)
    const args = ['expand', model, '--out', out, '--method', method, '--no-recipes', ...o]
    const { code, stdout } = lesa(...args, '--device', 'cpu', '--json')
    expect(code).toBe(0)
    const record = parsed(neutral(readFileSync(join(out, 'lesa.json'), 'utf8')))
    await matches(name, {
      result: withoutMeasured(parsed(stdout)),
      record: withoutMeasured(record),
      config: sha256(readFileSync(join(out, 'config.json'))),
      files: Object.keys(digests(out)),
      layout: sha256(JSON.stringify(layout(join(out, 'model.safetensors')))),
      predictor: layout(join(out, 'lesa/predictor-q_proj.safetensors')),
    })
  })
})

/** Without the numbers that sums decide. */
function withoutMeasured(value: unknown): unknown {
  const measured = new Set(['lossPerEpoch', 'mse', 'mseOfZero', 'mseOfMean', 'normRatio', 'cosine'])
  return JSON.parse(
    JSON.stringify(value, (key, inner: unknown) => (measured.has(key) ? 'measured' : inner)),
  )
}

async function matches(name: string, value: unknown): Promise<void> {
  await expect(`${JSON.stringify(value, null, 2)}\n`).toMatchFileSnapshot(
    `../fixtures/record/${name}.json`,
  )
}

describe('what the command line says stays the same', () => {
  const commands = [
    '',
    'inspect',
    'expand',
    'assemble',
    'evaluate',
    'pretrain',
    'compare',
    'recipes',
    'synth',
    'devices',
    'serve',
  ]
  it.each(commands)('lesa %s --help', async (command) => {
    const { code, stdout } = lesa(...[command, '--help'].filter(Boolean))
    expect(code).toBe(0)
    await expect(stdout).toMatchFileSnapshot(
      `../fixtures/record/help/${command === '' ? 'lesa' : command}.txt`,
    )
  })

  it('lesa inspect --json', async () => {
    await matches('inspect', parsed(lesa('inspect', model, '--json').stdout))
  })
})
