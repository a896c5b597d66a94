import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PROJECT } from '../support/built'

const { farText, TEXTS } = (await import(join(PROJECT, 'scripts/far-text.mjs'))) as {
  farText: (text: { seed: number; characters: number }) => string
  TEXTS: readonly { name: string; seed: number; characters: number }[]
}

test.each(TEXTS.map((text) => [text.name, text] as const))(
  'the bundled %s is what the script makes',
  async (name, text) => {
    expect(await readFile(join(PROJECT, 'resources/demo-texts', name), 'utf8')).toBe(farText(text))
  },
)

test('no line of the text that is measured on is in the one that is fitted to', () => {
  const [train, held] = TEXTS.map((text) => farText(text).split('\n').filter(Boolean))
  // Without the number that each entry begins with.
  const entries = new Set(train!.map((line) => line.replace(/^Entry \d+\. /, '')))
  expect(held!.filter((line) => entries.has(line.replace(/^Entry \d+\. /, '')))).toEqual([])
})
