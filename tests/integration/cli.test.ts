import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fitsText, learns, METHODS } from '@shared/methods'

const root = resolve(import.meta.dirname, '../..')
const script = join(root, 'scripts/lesa.mjs')
const model = join(root, 'resources/demo-model')
const text = join(model, 'eval.txt')

let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-cli-'))
  // Builds what is out of date, so that no test takes the build's time for its own.
  expect((await lesa(['--version'])).code).toBe(0)
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running extends Promise<Outcome> {
  readonly child: ChildProcess
  /** Resolves when stdout or stderr so far match. */
  said(pattern: RegExp): Promise<string>
}

/** Runs the command line as a person would. */
function lesa(args: readonly string[], options: { cwd?: string } = {}): Running {
  // npm's variables would make the command think that it was started by `npm run lesa`.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD|LD_LIBRARY)/i.test(name)),
  )
  const child = spawn(process.execPath, [script, ...args], { cwd: options.cwd ?? folder, env })
  const output = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      output[name] += chunk
      for (const listener of listeners) listener()
    })
  }
  const ended = new Promise<Outcome>((done) => {
    child.once('close', (code) => done({ code, ...output }))
  })
  const said = (pattern: RegExp): Promise<string> =>
    new Promise((done, fail) => {
      const look = (): void => {
        const found = pattern.exec(output.stdout) ?? pattern.exec(output.stderr)
        if (found) done(found[0])
      }
      listeners.add(look)
      look()
      void ended.then(({ stderr }) =>
        fail(new Error(`It ended without saying ${pattern.source}: ${stderr}`)),
      )
    })
  return Object.assign(ended, { child, said })
}

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await lesa([...args, '--json'])
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as Record<string, unknown>
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

describe('lesa inspect', () => {
  it('prints what a checkpoint is, as one JSON document', async () => {
    expect(await json(['inspect', model])).toMatchObject({
      architecture: 'LlamaForCausalLM',
      num_hidden_layers: 12,
      dtypes: { BF16: expect.any(Number) as number },
    })
  })

  it('takes a path relative to where it is run, and prints it for people', async () => {
    const { code, stdout, stderr } = await lesa(['inspect', 'demo-model'], {
      cwd: join(root, 'resources'),
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(model)
    expect(stdout).toMatch(/^layers +12$/m)
  })

  it('fails with the code and a hint where there is no model', async () => {
    const plain = await lesa(['inspect', 'nowhere'])
    expect([plain.code, plain.stdout]).toEqual([1, ''])
    expect(plain.stderr).toMatch(/^error not_found: /)
    const machine = await lesa(['inspect', 'nowhere', '--json'])
    expect([machine.code, machine.stdout]).toEqual([1, ''])
    expect(JSON.parse(machine.stderr)).toMatchObject({ error: { code: 'not_found' } })
  })

  it('says what a model has that keeps it from being grown, and so does lesa expand', async () => {
    const foreign = join(folder, 'foreign')
    cpSync(join(root, 'tests/fixtures/families/gemma/model'), foreign, { recursive: true })
    const file = join(foreign, 'config.json')
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    const named = { architectures: ['OlmoHybridForCausalLM'], model_type: 'olmo_hybrid' }
    writeFileSync(file, JSON.stringify({ ...config, ...named }))
    const reason =
      'Models of this kind cannot be grown yet: OlmoHybridForCausalLM has layers with linear attention.'
    const { code, stdout } = await lesa(['inspect', foreign])
    expect(code).toBe(0)
    expect(stdout).toContain('OlmoHybridForCausalLM (not supported)')
    expect(stdout).toContain(`${reason} Supported are Arcee, `)
    const refusal = { code: 'unsupported_architecture', message: reason }
    expect(await json(['inspect', foreign])).toMatchObject({ supported: false, refusal })
    const out = join(folder, 'foreign-grown')
    const grown = await lesa(['expand', foreign, '--out', out, '--method', 'solar', '--json'])
    expect([grown.code, grown.stdout]).toEqual([1, ''])
    expect(JSON.parse(grown.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
      error: { ...refusal, context: { field: 'model_type' } },
    })
    expect(existsSync(out)).toBe(false)
  })
})

describe('lesa compare', () => {
  it('finds the start of what pretrain wrote, and measures both on a text', async () => {
    const home = join(folder, 'descent')
    const [grown, trained] = [join(home, 'grown'), join(home, 'trained')]
    await json(['expand', model, '--out', grown, '--method', 'llama-pro'])
    const course = ['--steps', '2', '--batch', '2', '--context', '64', '--device', 'cpu']
    await json(['pretrain', grown, '--text', text, '--out', trained, ...course])
    const plain = await lesa(['compare', trained])
    expect(plain.code, plain.stderr).toBe(0)
    expect(plain.stderr).toContain('start: descent/grown (by its lesa.json)')
    expect(plain.stdout).toMatch(/^layers +15, of which 4,9,14 are new$/m)
    expect(plain.stdout).toContain('every original weight is bit-identical.')

    const asked = ['compare', trained, '--start', grown, '--text', text, '--base', model]
    const found = await json([...asked, '--device', 'cpu'])
    expect(found).toMatchObject({ trained, start: grown, new_layers: [4, 9, 14], outside: [] })
    expect(found['layers']).toHaveLength(15)
    expect(found['measured']).toEqual([
      expect.objectContaining({
        text,
        base: expect.objectContaining({ model }) as unknown,
        results: [grown, trained].map(
          (path) => expect.objectContaining({ model: path }) as unknown,
        ),
        since_start: expect.objectContaining({ windows: 102 }) as unknown,
      }),
    ])
  })

  it('refuses another model and a text that is not there before anything is read', async () => {
    const other = await lesa(['compare', model, '--start', join(folder, 'descent/grown'), '--json'])
    expect([other.code, other.stdout]).toEqual([1, ''])
    expect(JSON.parse(other.stderr.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      error: { code: 'shape_mismatch', context: { field: 'num_hidden_layers' } },
    })
    const asked = ['compare', join(folder, 'descent/trained'), '--text', 'nothing.txt']
    const text = await lesa(asked)
    expect([text.code, text.stdout]).toEqual([1, ''])
    expect(text.stderr).toMatch(/^error not_found: .*nothing\.txt/m)
    expect(text.stderr).not.toContain('compare weights')
  })
})

describe('lesa expand and evaluate', () => {
  it('runs every method, and measures what it wrote', async () => {
    const layers: Record<string, number> = {}
    for (const method of METHODS) {
      const out = join(folder, `every-${method}`)
      const result = await json([
        'expand',
        model,
        '--out',
        out,
        '--method',
        method,
        '--device',
        'cpu',
        ...(fitsText(method) ? ['--text', text] : []),
        // The whole training is done once, further below: it takes as long as all else here.
        ...(learns(method) ? ['--steps', '20'] : []),
      ])
      expect(result).toMatchObject({ out, method, seconds: expect.any(Number) as number })
      layers[method] = result['num_hidden_layers'] as number
      expect(result['new_layers']).toHaveLength(layers[method] - 12)
      const inspected = await json(['inspect', out])
      expect(inspected['num_hidden_layers']).toBe(layers[method])
      expect(inspected['parameters']).toBe(result['parameters'])
    }
    expect(layers).toEqual({
      lesa: 18,
      fitted: 18,
      'opt-deus': 18,
      noise: 18,
      'neighbour-mean': 18,
      interpolation: 18,
      stack: 18,
      solar: 18,
      'llama-pro': 15,
    })

    const outs = METHODS.map((method) => join(folder, `every-${method}`))
    const { results } = await json(['evaluate', model, ...outs, '--text', text, '--device', 'cpu'])
    expect(results).toHaveLength(1 + METHODS.length)
    for (const result of results as Record<string, unknown>[]) {
      expect(result).toMatchObject({
        perplexity: expect.any(Number) as number,
        tokens: expect.any(Number) as number,
        context: 192,
      })
    }
  })

  it('writes the same bytes twice with one seed, others with another', async () => {
    const run = async (name: string, seed: number): Promise<string> => {
      const out = join(folder, name)
      const args = ['--gaps', '5,9', '--steps', '10', '--seed', String(seed), '--device', 'cpu']
      await json(['expand', model, '--out', out, '--method', 'lesa', ...args])
      return digest(join(out, 'model.safetensors'))
    }
    const first = await run('seed-1a', 1)
    expect(await run('seed-1b', 1)).toBe(first)
    expect(await run('seed-2', 2)).not.toBe(first)
  })

  it('refuses an output that exists, and replaces it when told to', async () => {
    const out = join(folder, 'twice')
    const args = ['expand', model, '--out', out, '--method', 'solar']
    await json(args)
    const refused = await lesa([...args, '--json'])
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    const lastLine = refused.stderr.trimEnd().split('\n').at(-1) ?? ''
    expect(JSON.parse(lastLine)).toMatchObject({ error: { code: 'output_exists' } })
    await json([...args, '--overwrite', '--overlap', '4'])
    expect(await json(['inspect', out])).toMatchObject({ num_hidden_layers: 16 })
  })

  it('reads a mergekit recipe of copies back, and refuses what it would have to guess', async () => {
    const [made, again] = [join(folder, 'made'), join(folder, 'made again')]
    await json(['expand', model, '--out', made, '--method', 'solar', '--overlap', '3'])
    const plan = join(made, 'recipes', 'mergekit.yaml')
    await json(['expand', model, '--plan', plan, '--out', again])
    expect(digest(join(again, 'model.safetensors'))).toBe(digest(join(made, 'model.safetensors')))
    const bare = join(folder, 'bare')
    await json(['expand', model, '--plan', plan, '--out', bare, '--no-recipes'])
    // Whatever the folder is called.
    for (const name of readdirSync(join(made, 'recipes'))) {
      expect(digest(join(again, 'recipes', name))).toBe(digest(join(made, 'recipes', name)))
    }
    expect(readdirSync(bare)).not.toContain('recipes')

    const refused = async (...args: string[]): Promise<[number | null, string]> => {
      const { code, stderr } = await lesa(['expand', model, '--out', join(folder, 'no'), ...args])
      return [code, stderr]
    }
    expect(await refused('--plan', plan, '--overlap', '3')).toEqual([
      2,
      expect.stringContaining('--overlap and --plan exclude each other') as string,
    ])
    expect(await refused('--plan', join(folder, 'no.yaml'))).toEqual([
      1,
      expect.stringContaining('no.yaml') as string,
    ])
    const other = join(folder, 'slerp.yaml')
    writeFileSync(other, 'merge_method: slerp\nslices: []\n')
    expect(await refused('--plan', other)).toEqual([
      1,
      expect.stringContaining('merge_method: expected passthrough, found slerp') as string,
    ])
    expect(existsSync(join(folder, 'no'))).toBe(false)
  })

  it('never takes the model itself for the output', async () => {
    const copy = join(folder, 'precious')
    cpSync(model, copy, { recursive: true })
    const { code, stderr } = await lesa([
      'expand',
      copy,
      '--out',
      copy,
      '--method',
      'solar',
      '--overwrite',
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error path_denied: /m)
    expect(digest(join(copy, 'model.safetensors'))).toBe(digest(join(model, 'model.safetensors')))
  })

  it('holds out the middle layer and reports how well it was predicted', async () => {
    const out = join(folder, 'held-out')
    const result = await json([
      'expand',
      model,
      '--out',
      out,
      '--gaps',
      '5',
      '--steps',
      '5',
      '--holdout',
    ])
    const predictors = result['predictors'] as { holdout: { layers: { layer: number }[] } }[]
    expect(predictors).toHaveLength(7)
    for (const { holdout } of predictors) expect(holdout.layers).toMatchObject([{ layer: 6 }])
  })

  it('holds out several layers, without changing what it writes', async () => {
    const grow = (name: string, ...more: string[]): Promise<Record<string, unknown>> =>
      json([
        ...['expand', model, '--out', join(folder, name), '--gaps', '5', '--steps', '5'],
        ...['--device', 'cpu', ...more],
      ])
    const result = await grow('several', '--holdout', 'some')
    const predictors = result['predictors'] as { holdout: { layers: { layer: number }[] } }[]
    for (const { holdout } of predictors) {
      expect(holdout.layers.map(({ layer }) => layer)).toEqual([3, 6, 9])
    }
    const plain = await grow('nothing-held-out', '--no-holdout')
    for (const report of plain['predictors'] as object[])
      expect(report).not.toHaveProperty('holdout')
    const written = (name: string): string => digest(join(folder, name, 'model.safetensors'))
    expect(written('several')).toBe(written('nothing-held-out'))
  })

  it('learns from further checkpoints, and refuses one of another shape before any work', async () => {
    const further = join(folder, 'further')
    await json(['synth', '--like', join(model, 'config.json'), '--out', further, '--dtype', 'f32'])
    const out = join(folder, 'also')
    const args = ['expand', model, '--gaps', '5', '--steps', '5', '--device', 'cpu', '--no-holdout']
    const result = await json([...args, '--out', out, '--also', further])
    const [q] = result['predictors'] as { samples: number }[]
    expect(q?.samples).toBe(2 * 1280)
    const record = JSON.parse(readFileSync(join(out, 'lesa.json'), 'utf8')) as object
    expect(record).toMatchObject({ settings: { also: ['further'] } })
    const { code, stderr } = await lesa([...args, '--out', join(folder, 'no'), '--also', out])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error shape_mismatch: /m)
    expect(stderr).toMatch(/num_hidden_layers\n +expected +12\n +actual +13/)
    expect(existsSync(join(folder, 'no'))).toBe(false)
  })

  it('says little of a whole training without a terminal: plain lines, few of them, none on stdout', async () => {
    const { code, stdout, stderr } = await lesa([
      ...['expand', model, '--out', join(folder, 'plain'), '--method', 'lesa', '--device', 'cpu'],
    ])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^layers +12 → 18$/m)
    expect(stderr).not.toMatch(/[^\P{Cc}\n]/u)
    expect(stderr.split('\n').length).toBeLessThan(80)
    expect(stderr).toMatch(/q_proj.*loss/)
  })
})

describe('lesa pretrain', () => {
  const settings = ['--context', '16', '--batch', '1', '--steps', '2', '--device', 'cpu']

  it('trains two starts on the same batches, as one JSON document and for people', async () => {
    const start = join(folder, 'start')
    const other = join(folder, 'other', 'start')
    await json(['expand', model, '--out', start, '--method', 'llama-pro'])
    await json(['expand', model, '--out', other, '--method', 'interpolation', '--gaps', '4,8'])
    const short = join(folder, 'short.txt')
    writeFileSync(short, readFileSync(text, 'utf8').slice(0, 2_000))

    const args = ['pretrain', start, other, '--text', short, '--base', model, ...settings]
    const race = await json([...args, '--out', join(folder, 'race')])
    expect(race).toMatchObject({
      base: { eval: expect.any(Number) as number, forgetting: null },
      tokens_per_step: 16,
      device: { device: 'cpu' },
      trial_seconds: 0,
    })
    const results = race['results'] as Record<string, unknown>[]
    expect(results.map(({ name, out }) => [name, out])).toEqual(
      ['start', 'start-2'].map((name) => [name, join(folder, 'race', name)]),
    )
    for (const result of results) {
      expect(result).toMatchObject({ steps: 2, tokens: 32, lr: 2e-4, diverged: null })
      expect((result['loss'] as [number, number][]).map(([step]) => step)).toEqual([1, 2])
      expect((result['eval'] as [number, number][]).map(([step]) => step)).toEqual([0, 1, 2])
    }
    // A start that changes nothing has the base's loss.
    const [[, first] = []] = results[0]?.['eval'] as [number, number][]
    expect(first).toBeCloseTo((race['base'] as { eval: number }).eval, 4)
    expect(await json(['inspect', join(folder, 'race', 'start-2')])).toMatchObject({
      num_hidden_layers: 14,
    })

    const one = ['pretrain', start, '--text', short, ...settings, '--out', join(folder, 'one')]
    const { code, stdout, stderr } = await lesa(one)
    expect([code, stdout], stderr).toEqual([
      0,
      expect.stringMatching(/^layers +4,9,14 trained/m) as string,
    ])
    expect(stdout).toMatch(
      /^Reading: start's evaluation loss .* in 2 steps; .* too few to measure/m,
    )
    expect(stderr).toMatch(/^estimate: .* a step of 16 tokens$/m)
    expect(digest(join(folder, 'one', 'model.safetensors'))).toBe(
      digest(join(folder, 'race', 'start', 'model.safetensors')),
    )
  })
})

describe('lesa devices', () => {
  it('says what each device is and what auto takes', async () => {
    const { devices, auto } = await json(['devices'])
    expect(devices).toContainEqual(expect.objectContaining({ device: 'cpu', available: true }))
    expect(auto).toMatchObject({
      device: expect.any(String) as string,
      reason: expect.any(String) as string,
    })
  })
})

describe('wrong usage', () => {
  it.each([
    ['expand', 'm', '--out', 'o', '--method', 'solar', '--epochs', '3'],
    ['expand', 'm', '--out', 'o', '--gaps', 'five'],
    ['evaluate', 'm'],
    ['inspct', 'm'],
    [],
  ])('ends with exit code 2 and one line: %s %s', async (...args) => {
    const { code, stdout, stderr } = await lesa(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^error: .+\n$/)
  })
})

// Windows has no signals that a program can send to another one alone.
describe.skipIf(process.platform === 'win32')('stopping', () => {
  const endless = ['--method', 'lesa', '--steps', '10000000', '--device', 'cpu']

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s cancels the job, removes what was written and exits with %i',
    async (signal, code) => {
      const out = join(folder, `stopped-${signal}`)
      const running = lesa(['expand', model, '--out', out, ...endless, '--json'])
      await running.said(/device: cpu/)
      // The output's own folder is being prepared or the first predictor is training: either is cleaned up.
      running.child.kill(signal)
      const ended = await running
      expect(ended).toMatchObject({ code, stdout: '' })
      expect(ended.stderr).toContain('cancelling')
      expect(readdirSync(folder).filter((name) => name.startsWith(`stopped-${signal}`))).toEqual([])
    },
  )

  it('ends quietly when nobody reads its output any more', async () => {
    const running = lesa(['inspect', model, '--json'])
    running.child.stdout?.destroy()
    const { code, stderr } = await running
    expect([code, stderr]).toEqual([0, ''])
  })

  it('serves the workbench until it is interrupted', async () => {
    const running = lesa(['serve'])
    const url = await running.said(/http:\/\/127\.0\.0\.1:\d+\/\S+/)
    const page = await fetch(url)
    expect(page.status).toBe(200)
    expect((await fetch(new URL('/', url))).status).toBe(401)
    running.child.kill('SIGINT')
    const { code, stdout } = await running
    expect([code, stdout]).toEqual([0, `${url}\n`])
  })
})

describe('npm run lesa', () => {
  it('takes paths from where the person is, not from the project', async () => {
    const npm = process.env['npm_execpath'] ?? ''
    const command: [string, string[]] = npm.endsWith('.js')
      ? [process.execPath, [npm]]
      : [process.platform === 'win32' ? 'npm.cmd' : 'npm', []]
    const args = [
      ...command[1],
      '--prefix',
      root,
      'run',
      '--silent',
      'lesa',
      '--',
      'inspect',
      'demo-model',
      '--json',
    ]
    const child = spawn(command[0], args, {
      cwd: join(root, 'resources'),
      shell: command[0] === 'npm.cmd',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    expect(await new Promise((done) => child.once('close', done))).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ path: model })
    expect(existsSync(join(root, 'resources/demo-model/config.json'))).toBe(true)
  })
})
