import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = join(root, '.github/workflows')

describe.each(readdirSync(folder))('the workflow %s', (name) => {
  const text = readFileSync(join(folder, name), 'utf8')
  const commands = text.split('\n').filter((line) => !line.trim().startsWith('#'))

  it('runs actions of one known commit each', () => {
    const used = commands.filter((line) => line.includes('uses:'))
    expect(used.length).toBeGreaterThan(0)
    for (const line of used) expect(line).toMatch(/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it('may read and no more, keeps no credentials, and ends', () => {
    expect(text).toMatch(/^permissions:\n {2}contents: read\n\n/m)
    expect(text.match(/permissions:/g)).toHaveLength(1)
    expect(text).not.toContain('secrets.')
    const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0
    expect(count(/persist-credentials: false/g)).toBe(count(/actions\/checkout@/g))
    expect(count(/timeout-minutes: \d+/g)).toBe(count(/^ {4}runs-on:/gm))
  })

  it('passes over nothing that fails', () => {
    const text = commands.join('\n')
    expect(text).not.toMatch(
      /continue-on-error|\|\| *(true|:|exit 0)|set \+e|if: *always|--passWithNoTests/,
    )
  })

  it('runs scripts and files that are there', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    for (const [, script = ''] of text.matchAll(/npm run ([\w:]+)/g)) {
      expect(scripts).toHaveProperty(script)
    }
    for (const [path] of text.matchAll(/(tests|node_modules)\/[\w./-]+\.(ts|js)/g)) {
      expect(existsSync(join(root, path)), path).toBe(true)
    }
  })
})
