import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExportSpec } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { previewExport } from '../../../../src/main/engine/queries/exportPreview'
import { hubCacheFolder } from '../../../../src/system/hubCache'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { runExpand, runTask } from '../../../support/jobs'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

async function grown(): Promise<{ root: string; spec: ExportSpec }> {
  const root = await tempFolder()
  const base = await writeTinyCheckpoint({
    dir: join(root, 'base'),
    config: { _name_or_path: 'org/tiny' },
  })
  await writeFile(join(base, 'README.md'), '---\nlicense: mit\nlanguage: no\n---\n')
  await writeFile(join(base, 'tekken.json'), '{}')
  const made = expandSpec({ model: base, out: join(root, 'grown') })
  const result = await runExpand(made)
  await symlink('/nowhere', join(root, 'grown', 'LICENSE'))
  const spec: ExportSpec = {
    kind: 'export',
    model: result.out,
    base,
    out: join(root, 'out'),
    overwrite: false,
    dtype: 'keep',
    maxShardBytes: 5e9,
    grown: { spec: made, result },
    perplexities: [],
  }
  return { root, spec }
}

describe('the preview of an export', () => {
  it('tells the files, the room that is needed, and what the card says of the base', async () => {
    const { spec } = await grown()
    const preview = await previewExport(spec)
    expect(preview).toMatchObject({
      destination: 'free',
      problems: [],
      files: ['tekken.json'],
      leftOut: [{ path: 'LICENSE' }],
      neededBytes: preview.bytes + 64e6 + 2,
      cardDefaults: {
        title: 'base, 4 → 6 layers (SOLAR)',
        baseModel: 'org/tiny',
        license: 'mit',
        languages: ['no'],
      },
    })
    const edited = await previewExport({ ...spec, card: { title: 'Mine', baseModel: '' } })
    expect(edited.card).toContain('\n# Mine\n')
    expect(edited.card).not.toContain('base_model')
    const { result } = await runTask({ ...spec, card: { title: 'Mine' } })
    expect(result).toMatchObject({ left_out: [{ path: 'LICENSE' }] })
  })

  it('knows what an export would fail of', async () => {
    const { root, spec } = await grown()
    await mkdir(join(root, 'photos'))
    await writeFile(join(root, 'photos', 'one.png'), '')
    const problemsOf = async (changes: Partial<ExportSpec>): Promise<string> =>
      (await previewExport({ ...spec, ...changes })).problems.join('\n')
    expect(await problemsOf({ out: join(root, 'x'.repeat(300)) })).toMatch(
      /longer than the system allows/,
    )
    for (const overwrite of [false, true]) {
      expect(await problemsOf({ out: join(root, 'photos'), overwrite })).toContain(
        'Only a checkpoint is replaced',
      )
    }
    expect(await problemsOf({ out: join(hubCacheFolder(), 'out') })).toContain('Hugging Face cache')
    expect(await problemsOf({ card: { baseModel: 'not an id' } })).toContain('not an id on the hub')
  })
})
