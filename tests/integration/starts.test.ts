import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DampingReport } from '@shared/damping'
import type { ExpandResult, ExpandSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, test } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../support/checkpoints'
import { runEvaluate, runExpand, runTask } from '../support/jobs'
import { evaluateSpec, expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const TEXT = Array.from(
  { length: 400 },
  (_, line) =>
    `Line ${line * 7919} of a harbour where ${line % 13} ships lay and ${line % 7} left.`,
).join('\n')

async function tiny(options: Partial<TinyCheckpointOptions> = {}): Promise<string> {
  const dir = join(await tempFolder(), 'base')
  return writeTinyCheckpoint({ dir, layers: 5, vocab: 512, seed: 3, ...options })
}

async function textFile(text = TEXT): Promise<string> {
  const file = join(await tempFolder(), 'far.txt')
  await writeFile(file, text)
  return file
}

async function grow(
  model: string,
  method: MethodSpec,
  changes: Partial<ExpandSpec> = {},
): Promise<ExpandResult> {
  const out = join(await tempFolder(), 'grown')
  return runExpand(expandSpec({ model, out, method, ...changes }))
}

/** The bytes of a grown model's weights, a file after another. */
async function weightsOf(folder: string): Promise<Buffer[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort()
  return Promise.all(files.map((name) => readFile(join(folder, name))))
}

describe('damping', () => {
  test.each(['llama', 'phi3', 'qwen2'] as const)(
    'by zero makes copies of a %s model what LLaMA Pro makes of them, byte for byte',
    async (architecture) => {
      const model = await tiny({ architecture, mlpBias: architecture === 'llama' })
      const gaps = [0, 2, 2, 4]
      const pro = await grow(model, { name: 'llama-pro', gaps })
      const damped = await grow(model, { name: 'interpolation', gaps }, { damp: 0 })
      expect(await weightsOf(damped.out)).toEqual(await weightsOf(pro.out))
      const copies = await grow(model, { name: 'interpolation', gaps })
      expect(await weightsOf(copies.out)).not.toEqual(await weightsOf(pro.out))
    },
  )

  test('scales the output matrices of new layers, with their biases, and nothing else', async () => {
    const model = await tiny({ dtype: 'F32', attentionBias: true, mlpBias: true })
    const method: MethodSpec = { name: 'neighbour-mean', gaps: [1] }
    const [whole, damped] = [
      await Checkpoint.open((await grow(model, method)).out),
      await Checkpoint.open((await grow(model, method, { damp: 0.25 })).out),
    ]
    const scaled: string[] = []
    for (const name of whole.tensors.keys()) {
      const before = await whole.readFloat32(name)
      const after = await damped.readFloat32(name)
      if (before.every((value, index) => value === after[index])) continue
      scaled.push(name)
      expect(after).toEqual(before.map((value) => value * 0.25))
    }
    expect(scaled.sort()).toEqual(
      [
        'mlp.down_proj.bias',
        'mlp.down_proj.weight',
        'self_attn.o_proj.bias',
        'self_attn.o_proj.weight',
      ].map((suffix) => `model.layers.2.${suffix}`),
    )
    await whole.close()
    await damped.close()
  })

  test('is chosen on a text: the lowest loss of those tried, which are those of the written models', async () => {
    const model = await tiny({
      dtype: 'F32',
      scale: (name) => (name.endsWith('o_proj.weight') ? 6 : 1),
    })
    const text = await textFile()
    const method: MethodSpec = { name: 'interpolation', gaps: [1, 3] }
    const calibration = { text, context: 64 }
    const out = join(await tempFolder(), 'grown')
    const spec = expandSpec({ model, out, method, damp: 'auto', calibration })
    const { result, events } = await runTask(spec)
    const damping = (result as ExpandResult).damping as DampingReport
    expect(damping.tried.map(({ factor }) => factor)).toEqual([0, 0.1, 0.25, 0.5, 1])
    const losses = damping.tried.map(({ loss }) => loss ?? NaN)
    expect(damping.tried.find(({ factor }) => factor === damping.factor)?.loss).toBe(
      Math.min(...losses),
    )
    expect(damping.unseen.loss).toBeGreaterThan(0)
    expect(events).toContainEqual({ type: 'metric', series: 'damp/loss', x: [0.5], y: [losses[3]] })
    // Zero is the base model: what it loses on the whole text is near what it loses on some windows of it.
    const [base] = (await runEvaluate(evaluateSpec({ models: [model], text, context: 64 }))).results
    expect(Math.abs((losses[0] ?? NaN) - Math.log(base?.perplexity ?? NaN))).toBeLessThan(0.2)
    // The same as with the factor given.
    const given = await grow(model, method, { damp: damping.factor })
    expect(await weightsOf(out)).toEqual(await weightsOf(given.out))
    const told = JSON.parse(await readFile(join(out, 'lesa.json'), 'utf8')) as {
      settings: { damp: number }
      damping: DampingReport
    }
    expect(told.settings.damp).toBe(damping.factor)
    expect(told.damping).toEqual(damping)
    expect(await readFile(join(out, 'README.md'), 'utf8')).toContain(
      `Damping: ${damping.factor} is the best factor on far.txt`,
    )
  })

  test('is refused where there is nothing to damp, or nothing to choose it on', async () => {
    const model = await tiny()
    await expect(grow(model, { name: 'llama-pro' }, { damp: 0.5 })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'damp', actual: 'llama-pro' },
    })
    await expect(grow(model, { name: 'solar' }, { damp: 'auto' })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'calibration', expected: 'a text' },
    })
    await expect(
      grow(model, { name: 'solar' }, { damp: 'auto', calibration: { text: await textFile('x') } }),
    ).rejects.toMatchObject({ code: 'bad_request' })
  })
})
