/**
 * @file `recipes/train.py` on a grown model, in one process and divided among two. It needs the Python that
 * `LESA_PYTHON` names, with PyTorch, transformers and accelerate; without it only what is written is looked at.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { readLesaFile } from '../../src/main/engine/growth/lesaFile'
import { runEvaluate, runExpand } from '../support/jobs'
import { evaluateSpec, expandSpec } from '../support/specs'

const python = process.env['LESA_PYTHON'] ?? ''
const resources = resolve(import.meta.dirname, '../../resources')
const text = join(resources, 'demo-texts/ledger.txt')
const known = join(resources, 'demo-texts/manual.txt')

const folder = mkdtempSync(join(tmpdir(), 'lesa-train-'))
const grown = join(folder, 'grown')

/** Ends the program with what went wrong, on either stream. */
function runPython(args: readonly string[]): { readonly status: number | null; output: string } {
  const env = { ...process.env, OMP_NUM_THREADS: '1' }
  const { status, stdout, stderr } = spawnSync(python, args, { cwd: grown, encoding: 'utf8', env })
  return { status, output: stdout + stderr }
}

function train(out: string, more: readonly string[] = [], processes = 1) {
  const launch =
    processes === 1
      ? []
      : ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', String(processes)]
  const course = ['--steps', '10', '--lr', '1e-3', '--eval-every', '5', '--eval-blocks', '4']
  const texts = ['--text', text, '--forgetting-text', known, '--out', join(folder, out)]
  const args = [...launch, 'recipes/train.py', ...texts, '--device', 'cpu', ...course, ...more]
  return runPython(args)
}

/** Each step's loss. */
function losses(out: string): Map<number, number> {
  const lines = readFileSync(join(folder, `${out}.work`, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
  const entries = lines.map((line) => JSON.parse(line) as { step: number; loss?: number })
  return new Map(entries.flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]])))
}

async function weights(model: string): Promise<Map<string, string>> {
  const checkpoint = await Checkpoint.open(model)
  try {
    const entries = [...checkpoint.tensors.keys()].map(async (name) => {
      const bytes = Buffer.from(await checkpoint.readBytes(name)).toString('latin1')
      return [name, `${checkpoint.tensors.get(name)?.dtype} ${bytes}`] as const
    })
    return new Map(await Promise.all(entries))
  } finally {
    await checkpoint.close()
  }
}

let before: Map<string, string>

beforeAll(async () => {
  await runExpand(
    expandSpec({
      model: join(resources, 'demo-model'),
      out: grown,
      method: { name: 'llama-pro' },
    }),
  )
  before = await weights(grown)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const isNew = (name: string): boolean => /^model\.layers\.(4|9|14)\./.test(name)

it('stands beside what it trains: the program as it is bundled, and the names of the new tensors', () => {
  const written = readFileSync(join(grown, 'recipes/train.py'), 'utf8')
  expect(written).toBe(readFileSync(join(resources, 'recipes/train.py'), 'utf8'))
  const recipe = JSON.parse(readFileSync(join(grown, 'recipes/recipe.json'), 'utf8')) as {
    trained: readonly { name: string }[]
  }
  const named = recipe.trained.map(({ name }) => name)
  expect(named.sort()).toEqual([...before.keys()].filter(isNew).sort())
})

function trainings(): void {
  it('trains the new layers alone, stops, and goes on as if it had not', async () => {
    const whole = train('whole')
    expect(whole.output).toContain('Frozen tensors that are bit for bit as they were: 111.')
    expect(whole.status).toBe(0)
    const half = train('half', ['--stop-after', '5'])
    expect(half.output).toContain('Stopped after step 5 of 10')
    expect(train('half').output).toContain('give --resume')
    expect(train('half', ['--resume']).status).toBe(0)
    expect(losses('half')).toEqual(losses('whole'))
    expect(losses('whole').get(10)).toBeLessThan(losses('whole').get(1)! - 0.5)

    const after = await weights(join(folder, 'whole'))
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort())
    for (const [name, value] of after) {
      if (value.length < 200) continue
      expect(value === before.get(name), name).toBe(!isNew(name))
    }
    const record = (await readLesaFile(join(folder, 'whole')))?.trainings[0]
    expect(record).toMatchObject({ steps: 10, trained_layers: [4, 9, 14], device: 'cpu' })
    expect(record?.eval?.last).toBeLessThan(record?.eval?.first ?? 0)
    expect(record?.forgetting).not.toBeNull()
  })

  it('takes the same course divided among two processes (FSDP2)', () => {
    expect(train('two', ['--stop-after', '5'], 2).status).toBe(0)
    const resumed = train('two', ['--resume'], 2)
    expect(resumed.output).toContain('Frozen tensors that are bit for bit as they were: 111.')
    expect(resumed.status).toBe(0)
    for (const [step, loss] of losses('whole')) expect(losses('two').get(step)).toBeCloseTo(loss, 4)
  })

  it('writes what evaluate reads', async () => {
    const models = [grown, join(folder, 'whole')]
    const { results } = await runEvaluate(evaluateSpec({ models, text }))
    expect(results[1]!.perplexity).toBeLessThan(results[0]!.perplexity)
  })

  it('runs no backward pass through the frozen layers below the first new one', () => {
    const script = join(folder, 'count.py')
    writeFileSync(
      script,
      [
        'import importlib.util, json, sys, types',
        'from pathlib import Path',
        'import torch',
        'spec = importlib.util.spec_from_file_location("train", "recipes/train.py")',
        'train = importlib.util.module_from_spec(spec); spec.loader.exec_module(train)',
        'recipe = train.read_recipe(Path("recipes/recipe.json"))',
        'a = types.SimpleNamespace(model=Path("."), trained_dtype="float32", no_checkpointing=False)',
        'model, zeros = train.load_model(a, recipe, "fp32")',
        'model.train()',
        'reached = set()',
        'def watch(index):',
        '    def hook(module, given, out):',
        '        out = out[0] if isinstance(out, tuple) else out',
        '        if out.requires_grad: out.register_hook(lambda gradient: reached.add(index))',
        '    return hook',
        'for index, layer in enumerate(model.model.layers): layer.register_forward_hook(watch(index))',
        'ids = torch.arange(64)[None]',
        'model(input_ids=ids, labels=ids).loss.backward()',
        'print(json.dumps([sorted(reached), len(zeros)]))',
      ].join('\n'),
    )
    const output = execFileSync(python, [script], { cwd: grown, encoding: 'utf8' })
    expect(JSON.parse(output.trim().split('\n').at(-1)!)).toEqual([
      [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
      6,
    ])
  })

  it('says what is wrong in a sentence', () => {
    const other = join(folder, 'other.json')
    const recipe = JSON.parse(readFileSync(join(grown, 'recipes/recipe.json'), 'utf8')) as object
    writeFileSync(other, JSON.stringify({ ...recipe, num_hidden_layers: { before: 3, after: 6 } }))
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['--text', 'nowhere.txt'], 'error: The text nowhere.txt does not exist.'],
      [['--recipe', other], 'error: recipe.json is of a model with 6 layers'],
      [['--out', '.'], 'is the model itself'],
      [['--batch', '3', '--micro-batch', '2'], 'is no multiple of'],
    ]
    for (const [more, message] of wrong) {
      const { status, output } = train('wrong', more)
      expect(status).not.toBe(0)
      expect(output).toContain(message)
      expect(output).not.toContain('Traceback')
    }
  })
}

if (python === '') console.warn('SKIPPED: recipes/train.py on a model (LESA_PYTHON is not set)')
else describe('train.py', { timeout: 600_000 }, trainings)
