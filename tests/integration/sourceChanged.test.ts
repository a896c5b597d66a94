import { open, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JobSpec, JobEvent } from '@shared/jobs'
import { runJob } from '../../src/main/engine/process/runJob'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { learnedMethod } from '../support/jobs'
import { evaluateSpec, expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const LONG_AGO = new Date(2020, 1, 1)

/** A model that nobody has written to for long: any write shows, however coarse the file system's clock. */
async function settled(): Promise<{ folder: string; model: string; weights: string }> {
  const folder = await tempFolder()
  const model = await writeTinyCheckpoint({ dir: join(folder, 'model'), vocab: 512 })
  for (const name of await readdir(model)) await utimes(join(model, name), LONG_AGO, LONG_AGO)
  return { folder, model, weights: join(model, 'model.safetensors') }
}

async function altered(file: string): Promise<Buffer> {
  const bytes = await readFile(file)
  for (let at = bytes.length / 2; at < bytes.length; at += 2) bytes[Math.floor(at)]! ^= 1
  return bytes
}

const CHANGES: Readonly<Record<string, (file: string) => Promise<void>>> = {
  'overwritten in place': async (file) => {
    const bytes = await altered(file)
    const handle = await open(file, 'r+')
    await handle.write(bytes, 0, bytes.length, 0)
    await handle.close()
  },
  'replaced by a rename': async (file) => {
    await writeFile(`${file}.new`, await altered(file))
    await rename(`${file}.new`, file)
  },
  'cut short': async (file) => {
    const bytes = await readFile(file)
    await writeFile(file, bytes.subarray(0, bytes.length / 2))
  },
}

/** Runs a job and does something at its first event of which `when` is true. */
async function runWith(
  spec: JobSpec,
  when: (event: JobEvent) => boolean,
  change: () => Promise<void>,
): Promise<void> {
  const job = runJob(spec, { signal: new AbortController().signal })
  let isChanged = false
  for (;;) {
    const next = await job.next()
    if (next.done) return
    if (isChanged || !when(next.value)) continue
    isChanged = true
    await change()
  }
}

const CHANGED = { code: 'bad_checkpoint', message: /changed while it was read/ }
const matching = { code: CHANGED.code, message: expect.stringMatching(CHANGED.message) as string }

const stepOf = (id: string) => (event: JobEvent) => event.type === 'step' && event.id === id

describe.each(Object.entries(CHANGES))('a source that is %s while it is read', (_, change) => {
  test.each(['q_proj/train', 'up_proj/decompose', 'down_proj/predict'])(
    'gives no grown model and keeps no stage (%s)',
    async (step) => {
      const { folder, model, weights } = await settled()
      const out = join(folder, 'grown')
      const job = join(folder, 'job')
      const spec = expandSpec({ model, out, job, method: learnedMethod('paper') })
      await expect(runWith(spec, stepOf(step), () => change(weights))).rejects.toMatchObject(
        matching,
      )
      expect((await readdir(folder)).sort()).toEqual(['job', 'model'])
      // The stage under way was not kept; earlier ones are of the old model, under its key.
      const type = step.split('/')[0]
      const kept = await readdir(join(job, 'stages'))
      expect(kept.filter((name) => name.startsWith(`weights-${type}`))).toEqual([])
    },
  )

  test('and is a further checkpoint gives no grown model and keeps no stage', async () => {
    const { folder, model } = await settled()
    const also = await writeTinyCheckpoint({ dir: join(folder, 'also'), vocab: 512, seed: 2 })
    for (const name of await readdir(also)) await utimes(join(also, name), LONG_AGO, LONG_AGO)
    const job = join(folder, 'job')
    const spec = expandSpec({
      ...{ model, out: join(folder, 'grown'), job, also: [also] },
      method: learnedMethod('paper'),
    })
    const file = join(also, 'model.safetensors')
    await expect(runWith(spec, stepOf('q_proj/train'), () => change(file))).rejects.toMatchObject({
      ...matching,
      context: { file },
    })
    expect((await readdir(folder)).sort()).toEqual(['also', 'job', 'model'])
    const kept = await readdir(join(job, 'stages'))
    expect(kept.filter((name) => name.startsWith('weights-'))).toEqual([])
  })

  test('gives no copy', async () => {
    const { folder, model, weights } = await settled()
    const spec = expandSpec({ model, out: join(folder, 'grown') })
    await expect(
      runWith(
        spec,
        ({ type }) => type === 'plan',
        () => change(weights),
      ),
    ).rejects.toMatchObject(matching)
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('gives no perplexity', async () => {
    const { folder, model, weights } = await settled()
    const text = join(folder, 'text.txt')
    await writeFile(text, 'once upon a time there was a model. '.repeat(40))
    const spec = evaluateSpec({ models: [model], text, context: 32 })
    await expect(runWith(spec, stepOf('0/layers'), () => change(weights))).rejects.toMatchObject(
      matching,
    )
  })

  test('gives no statistics', async () => {
    const { folder, model, weights } = await settled()
    const file = join(folder, 'statistics.json')
    await expect(
      runWith({ kind: 'statistics', model, file }, stepOf('read'), () => change(weights)),
    ).rejects.toMatchObject(matching)
    await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

test.each(['config.json', 'tokenizer.json', 'tokenizer_config.json'])(
  'a %s that is replaced during the work gives no grown model',
  async (name) => {
    const { folder, model } = await settled()
    const file = join(model, name)
    const spec = expandSpec({ model, out: join(folder, 'grown') })
    await expect(
      runWith(
        spec,
        ({ type }) => type === 'plan',
        async () => writeFile(file, `${await readFile(file, 'utf8')} `),
      ),
    ).rejects.toMatchObject({ ...matching, context: { file } })
    expect(await readdir(folder)).toEqual(['model'])
  },
)
