import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EXPORT_CHECKS, type ExportCheck } from '@shared/exports'
import type { ExpandResult, ExportSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { planExport } from '../../../../src/main/engine/export/exportPlan'
import { verifyExport } from '../../../../src/main/engine/export/verify'
import { runJob } from '../../../../src/main/engine/process/runJob'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

const { signal } = new AbortController()

async function finish<T>(job: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const next = await job.next()
    if (next.done) return next.value
  }
}

interface Exported {
  readonly spec: ExportSpec
  readonly checks: Record<string, ExportCheck['state']>
}

/** Grows a tiny model and exports it. */
async function exported(
  method: MethodSpec,
  changes: Partial<ExportSpec> = {},
  model: Partial<TinyCheckpointOptions> = {},
): Promise<Exported> {
  const folder = await tempFolder()
  const base = await writeTinyCheckpoint({ dir: join(folder, 'base'), layers: 4, ...model })
  const grow = expandSpec({ model: base, out: join(folder, 'grown'), method })
  const result = (await finish(runJob(grow, { signal }))) as ExpandResult
  const spec: ExportSpec = {
    kind: 'export',
    model: grow.out,
    base,
    out: join(folder, 'out'),
    overwrite: false,
    dtype: 'keep',
    maxShardBytes: 5e9,
    grown: { spec: grow, result },
    perplexities: [],
    ...changes,
  }
  const job = await finish(runJob(spec, { signal }))
  if (job.kind !== 'export') throw new Error(job.kind)
  expect(job.checks.map(({ id }) => id)).toEqual([...EXPORT_CHECKS])
  return { spec, checks: statesOf(job.checks) }
}

function statesOf(checks: readonly ExportCheck[]): Record<string, ExportCheck['state']> {
  return Object.fromEntries(checks.map(({ id, state }) => [id, state]))
}

/** Checks an exported folder once more. */
async function verify(spec: ExportSpec): Promise<Record<string, ExportCheck['state']>> {
  const grown = await Checkpoint.open(spec.model)
  try {
    const planned = await planExport(grown, spec)
    return statesOf(await finish(verifyExport({ spec, planned, signal })))
  } finally {
    await grown.close()
  }
}

/** Changes bytes of a tensor in the exported file. */
async function damage(spec: ExportSpec, tensor: string, bytes: readonly number[]): Promise<void> {
  const written = await Checkpoint.open(spec.out)
  const info = written.tensors.get(tensor)
  await written.close()
  if (!info) throw new Error(`no ${tensor}`)
  const content = await readFile(info.file)
  content.set(bytes, info.offset)
  await writeFile(info.file, content)
}

const good = {
  reopened: 'passed',
  tensors_complete: 'passed',
  originals_identical: 'passed',
  weights_finite: 'passed',
  forward_finite: 'passed',
}

describe('an export', () => {
  it.each([
    { name: 'neighbour-mean', gaps: [1, 1] },
    { name: 'solar', overlap: 1 },
    { name: 'interpolation', gaps: [0] },
    { name: 'stack' },
  ] satisfies MethodSpec[])('of $name passes every check that concerns it', async (method) => {
    const { checks } = await exported(method, {}, { architecture: 'qwen2', shards: 2 })
    expect(checks).toEqual({ ...good, logits_equal_base: 'skipped' })
  })

  it('of LLaMA Pro computes what the base computes', async () => {
    const { checks } = await exported({ name: 'llama-pro' }, {}, { tieWordEmbeddings: true })
    expect(checks).toEqual({ ...good, logits_equal_base: 'passed' })
  })

  it('in another element type says that the originals were changed', async () => {
    const { checks } = await exported({ name: 'llama-pro' }, { dtype: 'f16' })
    expect(checks).toMatchObject({ originals_identical: 'skipped', logits_equal_base: 'skipped' })
  })

  it('without its base says what could not be compared', async () => {
    const { checks } = await exported({ name: 'llama-pro' }, { base: '/nowhere' })
    expect(checks).toEqual({
      ...good,
      originals_identical: 'skipped',
      logits_equal_base: 'skipped',
    })
  })
})

describe('what is wrong with an exported folder', () => {
  it('is told when an original has one other bit', async () => {
    const { spec } = await exported({ name: 'llama-pro' })
    await damage(spec, 'model.layers.0.mlp.up_proj.weight', [0x55, 0x3e])
    expect(await verify(spec)).toMatchObject({
      reopened: 'passed',
      originals_identical: 'failed',
      weights_finite: 'passed',
      logits_equal_base: 'failed',
    })
  })

  it('is told when a new layer has another weight, by what it computes', async () => {
    const { spec } = await exported({ name: 'llama-pro', groups: 1 })
    await damage(spec, 'model.layers.4.mlp.down_proj.weight', [0x80, 0x40, 0x80, 0x40])
    expect(await verify(spec)).toMatchObject({
      originals_identical: 'passed',
      logits_equal_base: 'failed',
    })
  })

  it('is told when a weight is not finite', async () => {
    const { spec } = await exported({ name: 'neighbour-mean', gaps: [1] })
    // Infinity in BF16.
    await damage(spec, 'model.layers.2.mlp.down_proj.weight', [0x80, 0x7f])
    expect(await verify(spec)).toMatchObject({
      originals_identical: 'passed',
      weights_finite: 'failed',
      forward_finite: 'failed',
    })
  })

  it('is told when it has fewer tensors than it should', async () => {
    const { spec } = await exported({ name: 'solar', overlap: 1 })
    const other = await exported({ name: 'interpolation', gaps: [0] })
    expect(await verify({ ...spec, out: other.spec.out })).toMatchObject({
      reopened: 'passed',
      tensors_complete: 'failed',
    })
  })

  it('is told when it cannot be opened', async () => {
    const { spec } = await exported({ name: 'stack' })
    await rm(join(spec.out, 'config.json'))
    expect(await verify(spec)).toEqual({
      reopened: 'failed',
      tensors_complete: 'skipped',
      originals_identical: 'skipped',
      weights_finite: 'skipped',
      forward_finite: 'skipped',
      logits_equal_base: 'skipped',
    })
  })
})
