import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, describe, expect, test } from 'vitest'
import { tempFolder } from '../support/tempFolder'

/** Writes what a build leaves, and notes that it ran. */
const BUILDER = `
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
for (const path of ['main/cli.js', 'main/engine.js', 'main/index.js', 'preload/index.cjs', 'renderer/index.html']) {
  mkdirSync('out/' + path.split('/')[0], { recursive: true })
  writeFileSync('out/' + path, '')
}
appendFileSync('builds', 'x')
`

let root: string
const write = async (path: string, content: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), content)
}

/** Sets up in a process of its own; how many builds there have been by then. */
async function setUp(): Promise<number> {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/ready.mjs')])
  return (await readFile(join(root, 'builds'), 'utf8')).length
}

beforeEach(async () => {
  root = await tempFolder()
  await cp(resolve('scripts/lib'), join(root, 'scripts/lib'), { recursive: true })
  await write(
    'scripts/ready.mjs',
    "import { ensureReady } from './lib/setup.mjs'\nawait ensureReady()\n",
  )
  const lock = JSON.stringify({ packages: { '': {}, 'node_modules/a': { version: '1.0.0' } } })
  await write('package-lock.json', lock)
  await write('node_modules/.package-lock.json', lock)
  await write('node_modules/electron-vite/bin/electron-vite.js', BUILDER)
  await write('node_modules/electron-vite/package.json', '{ "type": "module" }')
  await write('src/main.ts', 'one')
})

describe('the set-up before every command', () => {
  test('builds once, and not again for files that were only touched', async () => {
    expect(await setUp()).toBe(1)
    expect(await setUp()).toBe(1)
    await utimes(join(root, 'src/main.ts'), 1, 1)
    expect(await setUp()).toBe(1)
  })

  test.each<[string, () => Promise<void>]>([
    ['a source that changed and kept its size', () => write('src/main.ts', 'two')],
    ['a new source', () => write('src/deep/other.ts', 'one')],
    ['a source that is gone', () => rm(join(root, 'src/main.ts'))],
    ['a setting of the build', () => write('tsconfig.base.json', '{}')],
    ['an output that was removed', () => rm(join(root, 'out/renderer/index.html'))],
    ['all outputs removed', () => rm(join(root, 'out'), { recursive: true })],
  ])('builds again after %s', async (_, change) => {
    expect(await setUp()).toBe(1)
    await change()
    expect(await setUp()).toBe(2)
    expect(await setUp()).toBe(2)
  })

  test('two commands at once build once', async () => {
    const counts = await Promise.all([setUp(), setUp()])
    expect(counts).toEqual([1, 1])
  })
})
