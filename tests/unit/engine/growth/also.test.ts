import { cp, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { MethodSpec } from '@shared/methods'
import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { closeAll, openAlso } from '../../../../src/main/engine/growth/also'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { learnedMethod } from '../../../support/jobs'
import { tempFolder } from '../../../support/tempFolder'

let folder: string
let checkpoint: Checkpoint
beforeEach(async () => {
  folder = await tempFolder()
  checkpoint = await Checkpoint.open(await write('first', {}))
  return () => checkpoint.close()
})

function write(name: string, options: Omit<TinyCheckpointOptions, 'dir'>): Promise<string> {
  return writeTinyCheckpoint({ dir: join(folder, name), ...options })
}

async function open(also: string[] | undefined, method: MethodSpec = learnedMethod('paper')) {
  const opened = await openAlso({ method, also }, checkpoint)
  const paths = opened.map(({ path }) => path)
  await closeAll(opened)
  return paths
}

describe('further checkpoints', () => {
  it('are opened in their order, none where none are given', async () => {
    const other = { scale: () => 1.01 }
    const paths = [await write('b', other), await write('a', { ...other, dtype: 'F32' as const })]
    expect(await open(paths)).toEqual(paths)
    expect(await open(undefined)).toEqual([])
    expect(await open(undefined, { name: 'solar' })).toEqual([])
  })

  it.each<[string, Omit<TinyCheckpointOptions, 'dir'>, string, string, string]>([
    ['fewer layers', { layers: 3 }, 'num_hidden_layers', '4', '3'],
    ['another width', { hidden: 64 }, 'hidden_size', '32', '64'],
    ['other MLPs', { intermediate: 64 }, 'intermediate_size', '48', '64'],
    ['other heads', { kvHeads: 4 }, 'num_key_value_heads', '2', '4'],
    [
      'another architecture',
      { architecture: 'mistral' },
      'architectures',
      'LlamaForCausalLM',
      'MistralForCausalLM',
    ],
  ])('of %s are refused, with what is expected and what was found', async (...row) => {
    const [, options, field, expected, actual] = row
    const path = await write('other', options)
    await expect(open([path])).rejects.toMatchObject({
      code: 'shape_mismatch',
      context: { file: path, field, expected, actual },
    })
  })

  it('are refused where they are the model itself, a copy of it, or given twice', async () => {
    const copy = join(folder, 'copy')
    await cp(checkpoint.path, copy, { recursive: true })
    const later = new Date(2030, 1, 1)
    await utimes(join(copy, 'model.safetensors'), later, later)
    const other = await write('other', { scale: () => 2 })
    for (const [also, file, same] of [
      [[checkpoint.path], checkpoint.path, checkpoint.path],
      [[copy], copy, checkpoint.path],
      [[other, other], other, other],
    ] as const) {
      await expect(open([...also])).rejects.toMatchObject({
        code: 'bad_request',
        context: { field: 'also', file, actual: same },
      })
    }
  })

  it('are refused where they cannot be read, or the method learns nothing', async () => {
    const gone = join(folder, 'gone')
    await expect(open([gone])).rejects.toMatchObject({ code: 'not_found' })
    const other = await write('other', { scale: () => 2 })
    await expect(open([other], { name: 'solar' })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'also' },
    })
  })
})
