import type { TensorTable } from '@shared/statistics'
import { describe, expect, it } from 'vitest'
import { TensorTree } from '../../../src/renderer/src/lib/tensorTree'

function table(names: readonly string[]): TensorTable {
  return {
    names,
    bytes: names.map((_, index) => (index + 1) * 10),
    dtypes: ['BF16', 'F32'],
    dtypeOf: names.map((name) => (name.includes('norm') ? 1 : 0)),
    shapes: [[4, 2]],
    shapeOf: names.map(() => 0),
    shards: ['model.safetensors'],
    shardOf: names.map(() => 0),
  }
}

const NAMES = [
  'model.embed.weight',
  'model.layers.0.attn.q.weight',
  'model.layers.0.attn.k.weight',
  'model.layers.0.norm.weight',
  'model.layers.1.attn.q.weight',
  'model.layers.1.attn.k.weight',
  'model.layers.1.norm.weight',
  'lm_head.weight',
]

const outline = (tree: TensorTree, expanded: readonly string[]): string[] =>
  tree.rows(new Set(expanded)).map(({ label, depth }) => `${' '.repeat(depth)}${label}`)

describe('the tree of tensors', () => {
  it('opens module by module', () => {
    const tree = new TensorTree(table(NAMES))
    expect(outline(tree, [])).toEqual(['model', 'lm_head.weight'])
    expect(outline(tree, ['model', 'model.layers', 'model.layers.1'])).toEqual([
      'model',
      ' embed.weight',
      ' layers',
      '  0',
      '  1',
      '   attn',
      '   norm.weight',
      'lm_head.weight',
    ])
  })

  it('adds up what is under a module', () => {
    const rows = new TensorTree(table(NAMES)).rows(new Set(['model']))
    const layers = rows.find(({ path }) => path === 'model.layers')
    expect(layers).toMatchObject({ tensors: 6, parameters: 48, bytes: 270, tensor: null })
    expect(rows.map(({ position, siblings }) => `${position}/${siblings}`)).toEqual([
      '1/2',
      '1/2',
      '2/2',
      '2/2',
    ])
  })

  it('writes modules with a single child in one row', () => {
    const tree = new TensorTree(table(NAMES.slice(1, 3)))
    expect(outline(tree, ['model.layers.0.attn'])).toEqual([
      'model.layers.0.attn',
      ' q.weight',
      ' k.weight',
    ])
  })

  it('finds tensors by words in any order and by element type', () => {
    const tree = new TensorTree(table(NAMES))
    expect(tree.search('q layers.1').map(({ label }) => label)).toEqual([
      'model.layers.1.attn.q.weight',
    ])
    expect(tree.search('f32').map(({ tensor }) => tensor)).toEqual([3, 6])
    expect(tree.search('nothing')).toEqual([])
  })

  it('keeps tensors of a module together when the file scatters them', () => {
    const tree = new TensorTree(table(['a.x.w', 'b.w', 'a.y.w']))
    expect(outline(tree, ['a'])).toEqual(['a', ' x.w', ' y.w', 'b.w'])
  })
})
