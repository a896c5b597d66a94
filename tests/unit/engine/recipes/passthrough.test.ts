import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppError } from '@shared/errors'
import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { describe, expect, it } from 'vitest'
import { mergekit } from '../../../../src/main/engine/recipes/mergekit'
import { growthOf, readPassthrough } from '../../../../src/main/engine/recipes/passthrough'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { runExpand } from '../../../support/jobs'
import { subjectOf } from '../../../support/recipes'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

/** Written for mergekit and read back. */
function roundTrip(method: MethodSpec, layers: number, damp = 1) {
  const text = mergekit(subjectOf(method, layers, { damp }))['recipes/mergekit.yaml'] ?? ''
  const recipe = readPassthrough(text, 'mergekit.yaml')
  return { recipe, growth: growthOf(recipe, layers, 'mergekit.yaml') }
}

const placed = (method: MethodSpec, layers: number): unknown =>
  planExpansion(method, layers).layers.map(({ kind, source }) => ({ kind, source }))

const METHODS: readonly MethodSpec[] = [
  { name: 'solar' },
  { name: 'solar', overlap: 0 },
  { name: 'stack' },
  { name: 'stack', repeat: [1, 2] },
  { name: 'stack', repeat: [3, 3] },
  { name: 'interpolation' },
  { name: 'interpolation', gaps: [0, 2, 2, 5] },
  { name: 'llama-pro' },
  { name: 'llama-pro', groups: 6 },
  { name: 'llama-pro', gaps: [1, 1, 5] },
]

describe('a recipe for mergekit', () => {
  it.each(METHODS)('comes back with the layers of %o', (method) => {
    const { recipe, growth } = roundTrip(method, 6)
    expect(recipe).toMatchObject({ model: 'org/base', dtype: 'bf16' })
    expect(placed(growth.method, 6)).toEqual(placed(method, 6))
    expect(growth.damp).toBeUndefined()
  })

  it('comes back with the factor of its copies', () => {
    const { growth } = roundTrip({ name: 'stack', repeat: [1, 3] }, 6, 0.25)
    expect(growth).toEqual({ method: { name: 'stack', repeat: [1, 3] }, damp: 0.25 })
  })

  it.each<MethodSpec>([
    { name: 'solar', overlap: 1 },
    { name: 'stack', repeat: [1, 2] },
    { name: 'interpolation', gaps: [1, 3] },
    { name: 'llama-pro', groups: 2 },
  ])('gives the bytes of %o', async (method) => {
    const root = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(root, 'model'), layers: 4 })
    const weights = async (out: string, changes: object): Promise<Buffer> => {
      await runExpand(expandSpec({ model, out: join(root, out), ...changes }))
      return readFile(join(root, out, 'model.safetensors'))
    }
    const { growth, recipe } = roundTrip(method, 4)
    const made = await weights('made', { method })
    const read = await weights('read', { method: growth.method, dtype: recipe.dtype })
    expect(read.equals(made)).toBe(true)
  })
})

const recipe = (changes: string, more = ''): string => `merge_method: passthrough
dtype: bfloat16
${more}slices:
  - sources:
      - model: org/base
        layer_range: [0, 4]
${changes}`

const second = (lines: string): string => `  - sources:
      - model: org/base
${lines}`

describe('reading a recipe', () => {
  it('takes several slices, and leaves the element type out', () => {
    const text = recipe(second('        layer_range: [2, 6]\n')).replace('dtype: bfloat16\n', '')
    const read = readPassthrough(text, 'merge.yaml')
    expect(read.dtype).toBe('keep')
    expect(read.layers.map(({ source }) => source)).toEqual([0, 1, 2, 3, 2, 3, 4, 5])
    expect(growthOf(read, 6, 'merge.yaml').method).toEqual({ name: 'solar', overlap: 2 })
  })

  it.each<[string, string, string]>([
    ['another method', recipe('').replace('passthrough', 'linear'), 'line 1: merge_method'],
    ['another type', recipe('').replace('bfloat16', 'int8'), 'line 1: dtype'],
    ['a tokenizer', recipe('', 'tokenizer_source: union\n'), 'line 1: tokenizer_source'],
    ['no slices', 'merge_method: passthrough\n', 'line 1: slices'],
    [
      'two sources',
      recipe('      - {model: org/other, layer_range: [0, 4]}\n'),
      'slices.0.sources',
    ],
    [
      'two models',
      recipe('  - sources: [{model: b, layer_range: [0, 4]}]\n'),
      'layers of one model',
    ],
    [
      'a backward range',
      recipe(second('        layer_range: [4, 2]\n')),
      'slices.1.sources.0.layer_range',
    ],
    [
      'another factor',
      recipe(second('        layer_range: [3, 4]\n        parameters: {weight: 1}\n')),
      'line 10: slices.1.sources.0.parameters.weight',
    ],
    [
      'a factor for all',
      recipe(second('        layer_range: [3, 4]\n        parameters: {scale: [{value: 0.5}]}\n')),
      'parameters.scale: expected one factor for o_proj and down_proj, and 1 for all else',
    ],
    [
      'one of the two matrices',
      recipe(
        second(
          '        layer_range: [3, 4]\n        parameters: {scale: [{filter: o_proj, value: 0}, {value: 1}]}\n',
        ),
      ),
      'found 0, 1 and 1',
    ],
    [
      'another matrix',
      recipe(
        second(
          '        layer_range: [3, 4]\n        parameters: {scale: [{filter: q_proj, value: 0}]}\n',
        ),
      ),
      'scale.0.filter',
    ],
    ['no YAML', 'slices: [\n', 'is no YAML'],
    ['a text', 'passthrough', 'merge.yaml: the recipe'],
  ])('refuses %s, and says where', (_, text, expected) => {
    const refused = refusalOf(() => readPassthrough(text, 'merge.yaml'))
    expect(refused.code).toBe('bad_request')
    expect(refused.message).toContain(expected)
  })

  it.each<[string, readonly string[], string]>([
    ['layers that the model has not', ['[0, 4]', '[2, 9]'], 'layers within 0-5'],
    ['an order that no method has', ['[0, 4]', '[1, 5]', '[2, 6]'], 'every layer in its order'],
    ['no copy at all', ['[0, 4]', '[4, 6]'], 'every layer in its order'],
  ])('refuses %s', (_, ranges, expected) => {
    const [, ...others] = ranges
    const text = recipe(others.map((range) => second(`        layer_range: ${range}\n`)).join(''))
    const read = readPassthrough(text, 'merge.yaml')
    const refused = refusalOf(() => growthOf(read, 6, 'merge.yaml'))
    expect(refused.message).toContain(expected)
    expect(refused.context).toMatchObject({ file: 'merge.yaml, line 3', field: 'slices' })
  })
})

function refusalOf(act: () => unknown): AppError {
  try {
    act()
  } catch (thrown) {
    return thrown as AppError
  }
  throw new Error('nothing was refused')
}
