import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandResult } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layerTypesOf } from '../../src/main/engine/architectures/layerTypes'
import type { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import { familyModel, familyReference } from '../support/familyCases'
import { learnedMethod, runExpand } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { lossesOf, openForTest } from '../support/losses'
import { tempFolder } from '../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

interface Grown {
  readonly out: string
  readonly result: ExpandResult
}

async function grow(model: string, method: MethodSpec): Promise<Grown> {
  const out = join(await tempFolder(), 'grown')
  return { out, result: await runExpand(expandSpec({ model, out, method })) }
}

const open = openForTest
const losses = (folder: string, ids: readonly number[]): Promise<readonly number[]> =>
  lossesOf(runtime, folder, ids)

const SMALL = learnedMethod('small')
const LESA = {
  ...SMALL,
  predictor: { ...SMALL.predictor, length: { unit: 'steps', value: 20 } },
} as const

/** Eight layers of two types in turn, of which twelve are made. */
const METHODS: readonly MethodSpec[] = [
  { name: 'interpolation', keepPattern: true, gaps: [3, 6] },
  { name: 'neighbour-mean', keepPattern: true, gaps: [2, 2] },
  { name: 'opt-deus', keepPattern: true, gaps: [1, 5], asPublished: false },
  { name: 'llama-pro', keepPattern: true, groups: 2 },
  { ...LESA, keepPattern: true, gaps: [3, 4] },
]

describe.each(['gemma2', 'smollm3'])('whole periods of %s', (family) => {
  const eightLayers = async (): Promise<string> =>
    (await grow(familyModel(family), { name: 'stack', repeat: [0, 3] })).out

  it.each(METHODS)('$name keeps the types repeating, in the config as well', async (method) => {
    const base = await eightLayers()
    const { out, result } = await grow(base, method)
    const [before, after] = [await open(base), await open(out)]
    const [first, second] = layerTypesOf(before.config)
    expect(first).not.toBe(second)
    expect(layerTypesOf(after.config)).toEqual(
      Array.from({ length: 12 }, (_, layer) => (layer % 2 === 0 ? first : second)),
    )
    expect(result.warnings.filter((text) => /repeat|unequal/.test(text))).toEqual([])
    const { settings } = JSON.parse(await readFile(join(out, 'lesa.json'), 'utf8')) as {
      settings: object
    }
    expect(settings).toMatchObject({ keepPattern: true })
    expect(await readFile(join(out, 'README.md'), 'utf8')).toMatch(/\| keep_pattern +\| yes +\|/)
  })

  it('LLaMA Pro’s and OpT-DeUS’s compute what the base does', async () => {
    const { ids } = familyReference(family)
    const base = await eightLayers()
    const expected = await losses(base, ids)
    for (const method of METHODS.filter(({ name }) => ['llama-pro', 'opt-deus'].includes(name))) {
      const actual = await losses((await grow(base, method)).out, ids)
      expect(actual).toHaveLength(expected.length)
      actual.forEach((loss, token) => {
        expect(Math.abs(loss / (expected[token] ?? NaN) - 1)).toBeLessThan(1e-6)
      })
    }
  })

  it('a mean is that of the two layers of its type around it', async () => {
    const base = await eightLayers()
    const { out } = await grow(base, { name: 'neighbour-mean', keepPattern: true, gaps: [3] })
    const [before, after] = [await open(base), await open(out)]
    const { layerPrefix } = before.architecture
    // Layers 4 and 5 are new: of the places of 2 and 4, and of 3 and 5.
    for (const [layer, left, right] of [
      [4, 2, 4],
      [5, 3, 5],
    ] as const) {
      const suffix = 'mlp.down_proj.weight'
      const read = (from: Checkpoint, at: number): Promise<Float32Array> =>
        from.readFloat32(`${layerPrefix}${at}.${suffix}`)
      const [made, from, to] = await Promise.all([
        read(after, layer),
        read(before, left),
        read(before, right),
      ])
      expect(made.length).toBeGreaterThan(0)
      made.forEach((value, index) => {
        const mean = ((from[index] ?? NaN) + (to[index] ?? NaN)) / 2
        expect(Math.abs(value - mean)).toBeLessThan(1e-2 * Math.abs(mean) + 1e-4)
      })
    }
  })
})

describe('a broken pattern', () => {
  const warningsOf = async (family: string, method: MethodSpec): Promise<string[]> => {
    const { result } = await grow(familyModel(family), method)
    return result.warnings.filter((text) => text.includes('repeat'))
  }

  it('is told with what keeps it, and where llama.cpp would go wrong without a word', async () => {
    const [gemma] = await warningsOf('gemma2', { name: 'interpolation', gaps: [1] })
    expect(gemma).toContain('no longer repeat every 2 layers')
    expect(gemma).toContain('llama.cpp does not')
    expect(gemma).toContain('“Keep the pattern” puts in whole periods.')
    const [olmo] = await warningsOf('olmo3', { name: 'stack', repeat: [1, 3] })
    expect(olmo).not.toContain('llama.cpp')
    expect(olmo).toContain('With “Repeated layers” at 0–3 they would.')
    expect(await warningsOf('olmo3', { name: 'stack', repeat: [2, 3] })).toEqual([])
    const [solar] = await warningsOf('smollm3', { name: 'solar', overlap: 1 })
    expect(solar).toBeUndefined()
  })
})
