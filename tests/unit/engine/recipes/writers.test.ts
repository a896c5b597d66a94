import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import yaml from 'js-yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MethodSpec } from '@shared/methods'
import trainScript from '../../../../resources/recipes/train.py?raw'
import { recipeFiles } from '../../../../src/main/engine/recipes'
import { hasProStride } from '../../../../src/main/engine/recipes/llamaFactory'
import { axolotlPattern, newLayersRegex } from '../../../../src/main/engine/recipes/layerNames'
import { trainingMemory } from '../../../../src/main/engine/recipes/memory'
import { recipeOverview } from '../../../../src/main/engine/recipes/overview'
import type { RecipeSubject } from '../../../../src/main/engine/recipes/RecipeSubject'
import { allNames, namesOf, subjectOf } from '../../../support/recipes'

const read = (subject: RecipeSubject, name: string): Record<string, unknown> =>
  yaml.load(recipeFiles(subject)[`recipes/${name}`] ?? '') as Record<string, unknown>

/** As axolotl matches: a range at the end split off, dots made literal, from the name's start (`freeze.py`). */
function axolotlMatches(pattern: string, name: string): boolean {
  expect(pattern).not.toMatch(/\[\d*:?\d*\]$/)
  return new RegExp(`^(?:${pattern.replace(/\.(?!\+)/g, '\\.')})`).test(name)
}

const everySixth = (layers: number): number[] =>
  Array.from({ length: Math.floor(layers / 6) }, (_, index) => index * 6)

describe('the pattern of the new layers', () => {
  it.each([12, 128])('selects their parameters and no others, of %i layers', (layers) => {
    const subject = subjectOf(
      { name: 'interpolation', gaps: [0, 1, ...everySixth(layers)] },
      layers,
    )
    const expected = subject.newLayers.flatMap(namesOf)
    const config = read(subject, 'axolotl.yaml')
    const [pattern] = config.unfrozen_parameters as [string]
    expect(pattern).toBe(axolotlPattern(subject))
    const all = allNames(subject.layers.length)
    expect(all.filter((name) => axolotlMatches(pattern, name))).toEqual(expected)
    const regex = new RegExp(newLayersRegex(subject))
    expect(all.filter((name) => regex.test(name))).toEqual(expected)
  })

  it('does not take 1 for 16', () => {
    const subject = { layerPrefix: 'model.layers.', newLayers: [1] }
    const matched = allNames(128).filter((name) => axolotlMatches(axolotlPattern(subject), name))
    expect(matched).toEqual(namesOf(1))
  })
})

describe('axolotl.yaml', () => {
  const config = read(subjectOf({ name: 'llama-pro', groups: 4 }, 12), 'axolotl.yaml')

  it('reads local texts and divides with FSDP2', () => {
    expect(config.datasets).toEqual([
      { path: '../corpus.jsonl', ds_type: 'json', type: 'completion', field: 'text' },
    ])
    expect(config.fsdp_version).toBe(2)
    expect(config.fsdp_config).toMatchObject({ cpu_ram_efficient_loading: false })
    expect(config.gradient_checkpointing_kwargs).toEqual({ use_reentrant: false })
  })

  it('has numbers that are no texts', () => {
    expect(config.learning_rate).toBe(2e-4)
    expect(config.max_grad_norm).toBe(1)
    // YAML 1.1, which PyYAML reads, takes a number without a dot before its exponent for a text.
    expect(recipeFiles(subjectOf({ name: 'solar' }, 12))['recipes/axolotl.yaml']).not.toMatch(
      /: \d+e/,
    )
  })
})

describe('llamafactory.yaml', () => {
  it.each<[MethodSpec, number, boolean]>([
    [{ name: 'llama-pro', groups: 4 }, 12, true],
    [{ name: 'llama-pro', groups: 5 }, 12, false],
    [{ name: 'interpolation', gaps: [5, 6, 7] }, 12, false],
    [{ name: 'interpolation', gaps: [11] }, 12, true],
  ])('knows whether %o of %i layers has its stride', (method, layers, expected) => {
    const subject = subjectOf(method, layers)
    expect(hasProStride(subject)).toBe(expected)
    const config = read(subject, 'llamafactory.yaml')
    expect(config.finetuning_type).toBe(expected ? 'freeze' : 'lora')
    if (expected) {
      // Its own rule: of L layers and n trained ones, range(L/n − 1, L + L/n − 1, L/n).
      const [depth, n] = [subject.layers.length, Number(config.freeze_trainable_layers)]
      const trained = Array.from({ length: n }, (_, index) => (index + 1) * (depth / n) - 1)
      expect(trained).toEqual(subject.newLayers)
    } else {
      const names = String(config.lora_target).split(',')
      const all = allNames(subject.layers.length)
      expect(names).toHaveLength(3 * subject.newLayers.length)
      for (const name of names) expect(all).toContain(`${name}.weight`)
    }
  })

  it('finds the texts by its dataset_info.json', () => {
    const subject = subjectOf({ name: 'solar' }, 12)
    const info = JSON.parse(recipeFiles(subject)['recipes/dataset_info.json'] ?? '') as Record<
      string,
      { readonly file_name: string }
    >
    const config = read(subject, 'llamafactory.yaml')
    expect(Object.keys(info)).toEqual([config.dataset])
    expect(join(String(config.dataset_dir), info.corpus?.file_name ?? '')).toBe('../corpus.jsonl')
  })
})

describe('mergekit.yaml', () => {
  const slicesOf = (subject: RecipeSubject): unknown => read(subject, 'mergekit.yaml').slices

  it('joins the layers of two copies', () => {
    const subject = subjectOf({ name: 'solar', overlap: 3 }, 12)
    expect(slicesOf(subject)).toEqual([
      { sources: [{ model: 'org/base', layer_range: [0, 9] }] },
      { sources: [{ model: 'org/base', layer_range: [3, 12] }] },
    ])
    expect(read(subject, 'mergekit.yaml')).toMatchObject({
      merge_method: 'passthrough',
      dtype: 'bfloat16',
    })
  })

  it('silences the copies of LLaMA Pro', () => {
    expect(slicesOf(subjectOf({ name: 'llama-pro', groups: 2 }, 4))).toEqual([
      { sources: [{ model: 'org/base', layer_range: [0, 2] }] },
      {
        sources: [
          {
            model: 'org/base',
            layer_range: [1, 2],
            parameters: {
              scale: [
                { filter: 'o_proj', value: 0 },
                { filter: 'down_proj', value: 0 },
                { value: 1 },
              ],
            },
          },
        ],
      },
      { sources: [{ model: 'org/base', layer_range: [2, 4] }] },
      expect.objectContaining({ sources: [expect.objectContaining({ layer_range: [3, 4] })] }),
    ])
  })

  it('is not there for what was computed, fitted or trained', () => {
    const stack: MethodSpec = { name: 'stack' }
    expect(recipeFiles(subjectOf(stack, 12))).toHaveProperty(['recipes/mergekit.yaml'])
    for (const subject of [
      subjectOf({ name: 'neighbour-mean' }, 12),
      subjectOf({ name: 'fitted', rounds: 1 }, 12),
      subjectOf(stack, 12, { isTrained: true }),
    ]) {
      expect(recipeFiles(subject)).not.toHaveProperty(['recipes/mergekit.yaml'])
      expect(recipeFiles(subject)['recipes/README.md']).not.toContain('mergekit')
    }
  })
})

describe('mergekit.yaml of a model whose matrices have other names', () => {
  const renamed = (method: MethodSpec, changes: Partial<RecipeSubject> = {}): RecipeSubject => {
    const { trained } = subjectOf(method, 4)
    return subjectOf(method, 4, {
      trained: trained.map(({ name, shape }) => ({
        name: name.replace('mlp.down_proj', 'feed_forward.w2'),
        shape,
      })),
      ...changes,
    })
  }

  it('is there for plain copies, and not where mergekit would leave them unscaled', () => {
    const stack: MethodSpec = { name: 'stack' }
    expect(recipeFiles(renamed(stack))).toHaveProperty(['recipes/mergekit.yaml'])
    for (const subject of [
      renamed(stack, { damp: 0.5 }),
      renamed({ name: 'llama-pro', groups: 2 }),
    ]) {
      expect(recipeFiles(subject)).not.toHaveProperty(['recipes/mergekit.yaml'])
    }
  })
})

describe('the shell files', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'recipes-'))
    for (const [path, text] of Object.entries(recipeFiles(subjectOf({ name: 'solar' }, 12)))) {
      writeFileSync(join(folder, path.replace('recipes/', '')), text)
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const bash = (...words: string[]): string =>
    execFileSync('bash', words, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })

  it.skipIf(process.platform === 'win32')('are what bash reads', () => {
    for (const file of ['train.slurm', 'eval.sh']) expect(bash('-n', file)).toBe('')
  })

  it.skipIf(process.platform === 'win32')('say what is wrong before anything is run', () => {
    expect(() => bash('eval.sh')).toThrow(/usage/)
    expect(() => bash('eval.sh', 'nowhere')).toThrow(/nowhere is no checkpoint/)
  })

  it('have the directives before the first command', () => {
    const text = recipeFiles(subjectOf({ name: 'solar' }, 12))['recipes/train.slurm'] ?? ''
    // Slurm stops reading them there.
    expect(text.lastIndexOf('#SBATCH')).toBeLessThan(text.indexOf('\nset '))
    expect(text).toContain('--rdzv_backend c10d')
  })
})

describe('the memory', () => {
  // Llama3-8B grown 32 → 48.
  const shape = {
    ...subjectOf({ name: 'interpolation' }, 32),
    parameters: 11_520_000_000,
    trainedParameters: 3_490_000_000,
    hiddenSize: 4096,
    intermediateSize: 14_336,
    vocabSize: 128_256,
  }

  it('is counted by part', () => {
    expect(trainingMemory(shape, { gpus: 1, context: 1024 })).toEqual({
      gpus: 1,
      frozen: 16_060_000_000,
      trained: 34_900_000_000,
      optimizer: 27_920_000_000,
      // 32 layers' inputs (from layer 16 up), and the logits.
      activations: 1024 * (32 * 4096 * 2 + 128_256 * 16),
      total: 16_060_000_000 + 34_900_000_000 + 27_920_000_000 + 1024 * (32 * 8192 + 2_052_096),
    })
  })

  it('is divided among GPUs, but for what is whole while it is used', () => {
    const one = trainingMemory(shape, { gpus: 1, context: 1024 })
    const eight = trainingMemory(shape, { gpus: 8, context: 1024 })
    expect(eight.optimizer).toBe(one.optimizer / 8)
    expect(eight.activations).toBe(one.activations)
    const perLayer = 3_490_000_000 / 16
    const whole = 2 * (2 * perLayer + (11_520_000_000 - 48 * perLayer))
    expect(eight.frozen).toBe(Math.ceil(one.frozen / 8 + whole))
  })

  it('has no 16-bit copies of float32 weights', () => {
    const { trained } = trainingMemory({ ...shape, dtype: 'float32' }, { gpus: 1, context: 1 })
    expect(trained).toBe(8 * shape.trainedParameters)
  })
})

describe('the overview', () => {
  it('tells of three machines and of files that are there', () => {
    const subject = subjectOf({ name: 'solar' }, 12)
    const overview = recipeOverview(subject, '/models/grown')
    const names = Object.keys(recipeFiles(subject)).map((path) => path.replace('recipes/', ''))
    expect([...overview.files].sort()).toEqual(names.sort())
    expect(overview.context).toBe(1024)
    expect(overview.recipes.map(({ machine, memory }) => [machine, memory.gpus])).toEqual([
      ['one_gpu', 1],
      ['several_gpus', 8],
      ['cluster', 16],
    ])
  })

  it('gives arguments that train.py knows', () => {
    const subject = subjectOf({ name: 'llama-pro' }, 12)
    const files = recipeFiles(subject)
    const known = new Set(['"--help"', ...(trainScript.match(/"--[a-z-]+"/g) ?? [])])
    const told = [
      ...recipeOverview(subject, '/m').recipes.map(({ command }) => command),
      files['recipes/train.slurm'] ?? '',
      ...(files['recipes/README.md']?.match(/^.*recipes\/train\.(?:py|slurm).*$/gm) ?? []),
    ].flatMap((text) => text.split(/recipes\/train\.(?:py|slurm)/).slice(1))
    const flags = told.flatMap((text) => text.split('\n')[0]?.match(/--[a-z][a-z-]*/g) ?? [])
    expect(flags).toContain('--batch')
    for (const flag of flags) expect(known).toContain(`"${flag}"`)
  })
})

describe('README.md', () => {
  it('names every file, and no other', () => {
    for (const method of ['llama-pro', 'neighbour-mean'] as const) {
      const files = recipeFiles(subjectOf({ name: method }, 12))
      const text = files['recipes/README.md'] ?? ''
      for (const path of Object.keys(files)) {
        if (path !== 'recipes/README.md') expect(text).toContain(path.replace('recipes/', ''))
      }
      for (const path of text.match(/recipes\/\w+\.\w+/g) ?? [])
        expect(files).toHaveProperty([path])
    }
  })

  it('prints a name from outside on one line', () => {
    const files = recipeFiles(subjectOf({ name: 'solar' }, 12, { baseModel: 'a`b\n# c' }))
    expect(files['recipes/README.md']).toContain('`a b # c` has 12 layers')
  })
})
