import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { llama } from '../../../../src/main/engine/architectures/llama'
import { parseConfig } from '../../../../src/main/engine/architectures/config'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { findSidecars } from '../../../../src/main/engine/checkpoint/sidecars'
import { writeRecipes } from '../../../../src/main/engine/growth/grownRecipes'
import { recipeSubject } from '../../../../src/main/engine/recipes/subject'
import { recipeFiles } from '../../../../src/main/engine/recipes'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { runExpand } from '../../../support/jobs'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

let all = ''
let grown = ''
let lesa: Record<string, unknown> = {}

beforeAll(async () => {
  all = await realpath(await mkdtemp(join(tmpdir(), 'lesa-recipes-')))
  const model = await writeTinyCheckpoint({ dir: join(all, 'base'), architecture: 'qwen2' })
  grown = join(all, 'grown')
  await runExpand(expandSpec({ model, out: grown, method: { name: 'llama-pro', groups: 2 } }))
  lesa = JSON.parse(await readFile(join(grown, 'lesa.json'), 'utf8')) as typeof lesa
})

afterAll(() => rm(all, { recursive: true }))

const withLesa = (changes: object | null): Promise<void> =>
  changes === null
    ? rm(join(grown, 'lesa.json'))
    : writeFile(join(grown, 'lesa.json'), JSON.stringify({ ...lesa, ...changes }))

interface Recipe {
  readonly new_layers: readonly number[]
  readonly trained_parameters: number
  readonly starts_from_zero: boolean
  readonly trained: readonly { readonly name: string; readonly shape: readonly number[] }[]
}

const recipeOf = (text: string): Recipe => JSON.parse(text) as Recipe

describe('recipes of a grown checkpoint', () => {
  it('are written with it, and name tensors that it has', async () => {
    const recipe = recipeOf(await readFile(join(grown, 'recipes/recipe.json'), 'utf8'))
    const checkpoint = await Checkpoint.open(grown)
    const { tensors } = checkpoint
    await checkpoint.close()
    expect(recipe.new_layers).toEqual([2, 5])
    expect(recipe.starts_from_zero).toBe(true)
    for (const { name, shape } of recipe.trained) expect(tensors.get(name)?.shape).toEqual(shape)
    const ofNew = [...tensors.keys()].filter((name) => /^model\.layers\.[25]\./.test(name))
    expect(recipe.trained.map(({ name }) => name).sort()).toEqual(ofNew.sort())
    const elements = recipe.trained.map(({ shape }) => shape.reduce((all, size) => all * size, 1))
    expect(recipe.trained_parameters).toBe(elements.reduce((all, size) => all + size, 0))
  })

  it('stay behind when the model is grown again, and are left out where that is asked', async () => {
    const { files } = await findSidecars(grown)
    expect(files.filter(({ path }) => path.startsWith('recipes'))).toEqual([])
    const out = join(await tempFolder(), 'again')
    await runExpand(expandSpec({ model: grown, out, recipes: false }))
    expect(await readdir(out)).not.toContain('recipes')
  })

  it('are written for a model that was grown earlier, over nothing but recipes', async () => {
    const folder = await tempFolder()
    const out = join(folder, 'mine')
    const { files } = await writeRecipes(grown, out, { overwrite: false })
    expect((await readdir(out)).sort()).toEqual([...files])
    for (const name of files) {
      expect(await readFile(join(out, name), 'utf8')).toBe(
        await readFile(join(grown, 'recipes', name), 'utf8'),
      )
    }
    await expect(writeRecipes(grown, out, { overwrite: false })).rejects.toMatchObject({
      code: 'output_exists',
    })
    await writeRecipes(grown, out, { overwrite: true })
    for (const taken of [grown, folder]) {
      await expect(writeRecipes(grown, taken, { overwrite: true })).rejects.toMatchObject({
        code: 'output_exists',
      })
    }
    expect(await readdir(folder)).toEqual(['mine'])
  })

  it.each([
    [null, 'bad_request', undefined],
    [{ method: 'magic' }, 'bad_checkpoint', 'method'],
    [{ new_layers: [2, 6] }, 'bad_checkpoint', 'new_layers'],
    [{ new_layers: [2, 2] }, 'bad_checkpoint', 'new_layers'],
    [{ new_layers: [1, 5] }, 'bad_checkpoint', 'layers.1.kind'],
    [{ num_hidden_layers: { before: 4, after: 8 } }, 'bad_checkpoint', 'num_hidden_layers.after'],
  ])('are refused of lesa.json with %j', async (changes, code, field) => {
    await withLesa(changes)
    try {
      const out = join(await tempFolder(), 'out')
      await expect(writeRecipes(grown, out, { overwrite: false })).rejects.toMatchObject({
        code,
        ...(field === undefined ? {} : { context: { field } }),
      })
    } finally {
      await withLesa({})
    }
  })

  it('are refused of a model without new layers', async () => {
    await withLesa({
      num_hidden_layers: { before: 6, after: 6 },
      new_layers: [],
      layers: Array.from({ length: 6 }, (_, source) => ({ kind: 'original', source })),
    })
    try {
      const out = join(await tempFolder(), 'out')
      const written = writeRecipes(grown, out, { overwrite: false })
      await expect(written).rejects.toMatchObject({ code: 'bad_request' })
    } finally {
      await withLesa({})
    }
  })

  it('name the layers of a model of 128', () => {
    const layers = Array.from({ length: 128 }, (_, index) =>
      index % 8 === 1 ? { kind: 'copy', source: 0 } : { kind: 'original', source: 0 },
    )
    const newLayers = layers.flatMap(({ kind }, index) => (kind === 'copy' ? [index] : []))
    const raw = {
      num_hidden_layers: 128,
      hidden_size: 8,
      intermediate_size: 16,
      num_attention_heads: 2,
      vocab_size: 32,
    }
    const subject = recipeSubject({
      file: 'deep/lesa.json',
      architecture: llama,
      config: parseConfig(raw, llama.configRules, 'deep/config.json'),
      tensors: [],
      lesa: {
        base_model: 'base',
        method: 'stack',
        num_hidden_layers: { before: 112, after: 128 },
        new_layers: newLayers,
        layers,
      },
    })
    const recipe = recipeOf(recipeFiles(subject)['recipes/recipe.json'] ?? '')
    const found = new Set(recipe.trained.map(({ name }) => Number(name.split('.')[2])))
    expect([...found]).toEqual(newLayers)
    expect(recipe.trained).toHaveLength(16 * 9)
    expect(recipe.starts_from_zero).toBe(false)
  })
})
