import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ExpandSpec, JobEvent, JobSpec, SynthSpec } from '@shared/jobs'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { runJob } from '../../../../src/main/engine/process/runJob'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

const CONFIG = `{
  "architectures": ["Qwen2ForCausalLM"],
  "model_type": "qwen2",
  "hidden_size": 64,
  "intermediate_size": 96,
  "num_hidden_layers": 4,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "vocab_size": 128,
  "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0,
  "tie_word_embeddings": true,
  "torch_dtype": "float32"
}`

/** A spec for a small model in a folder of its own. */
async function synthSpec(changes: Partial<SynthSpec> = {}): Promise<SynthSpec> {
  const folder = await tempFolder()
  const config = join(folder, 'like.json')
  await writeFile(config, CONFIG)
  return {
    kind: 'synth',
    like: { config },
    out: join(folder, 'out'),
    overwrite: false,
    dtype: 'bf16',
    maxShardBytes: 5e9,
    seed: 3,
    ...changes,
  }
}

async function finish(spec: JobSpec, signal = new AbortController().signal) {
  const events: JobEvent[] = []
  const job = runJob(spec, { signal })
  let next = await job.next()
  for (; !next.done; next = await job.next()) events.push(next.value)
  return { events, result: next.value }
}

async function digest(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort()
  const hash = createHash('sha256')
  for (const name of names) hash.update(await readFile(join(folder, name)))
  return hash.digest('hex')
}

describe('the synth job', () => {
  it('writes a checkpoint that opens, with the spelling of the config kept', async () => {
    const spec = await synthSpec({ layers: 6, maxShardBytes: 100_000 })
    const { events, result } = await finish(spec)
    expect(result).toMatchObject({ kind: 'synth', num_hidden_layers: 6, dtype: 'bf16', seed: 3 })
    expect(events.at(-1)).toMatchObject({ type: 'artifact', path: spec.out })
    const checkpoint = await Checkpoint.open(spec.out)
    const summary = checkpoint.summarize()
    expect(summary).toMatchObject({ num_hidden_layers: 6, dtypes: { BF16: summary.parameters } })
    expect(summary.shards.length).toBeGreaterThan(1)
    expect(checkpoint.tensors.has('model.layers.5.self_attn.q_proj.bias')).toBe(true)
    const values = await checkpoint.readFloat32('model.layers.5.mlp.down_proj.weight')
    expect(values.every(Number.isFinite)).toBe(true)
    expect(values.includes(0)).toBe(false)
    await checkpoint.close()
    const config = await readFile(join(spec.out, 'config.json'), 'utf8')
    expect(config).toContain('"rope_theta": 1000000.0')
    expect(config).toContain('"torch_dtype": "bfloat16"')
    expect((await readdir(spec.out)).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('gives the same bytes for the same seed, others for another', async () => {
    const [a, b, c] = await Promise.all([synthSpec(), synthSpec(), synthSpec({ seed: 4 })])
    for (const spec of [a, b, c]) await finish(spec)
    expect(await digest(b.out)).toBe(await digest(a.out))
    expect(await digest(c.out)).not.toBe(await digest(a.out))
  })

  it.each(['f16', 'f32'] as const)('writes %s', async (dtype) => {
    const spec = await synthSpec({ dtype })
    await finish(spec)
    const summary = await Checkpoint.inspect(spec.out)
    expect(summary.dtypes).toEqual({ [dtype.toUpperCase()]: summary.parameters })
  })

  it('makes a model that the copying methods grow', async () => {
    const base = await synthSpec()
    await finish(base)
    const grown: ExpandSpec = expandSpec({
      model: base.out,
      out: `${base.out}-grown`,
      method: { name: 'solar', overlap: 1 },
    })
    expect((await finish(grown)).result).toMatchObject({ num_hidden_layers: 6 })
  })

  it('leaves nothing behind when it is cancelled', async () => {
    const spec = await synthSpec()
    const controller = new AbortController()
    controller.abort(new Error('stop'))
    await expect(finish(spec, controller.signal)).rejects.toThrow('stop')
    expect(await readdir(join(spec.out, '..'))).toEqual(['like.json'])
  })

  it('takes neither the config nor an existing folder for its output', async () => {
    const spec = await synthSpec()
    await expect(finish({ ...spec, out: join(spec.out, '..') })).rejects.toMatchObject({
      code: 'path_denied',
    })
    await finish(spec)
    await expect(finish(spec)).rejects.toMatchObject({ code: 'output_exists' })
    await finish({ ...spec, overwrite: true })
  })
})
