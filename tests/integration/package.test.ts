/**
 * @file What `npm run package` puts into the desktop program. Electron's own binary is not needed for that: a stand-in
 * has the one part of it that is changed while packaging.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { built, PROJECT } from '../support/built'

const run = promisify(execFile)
const tool = (path: string): string => join(PROJECT, 'node_modules', path)

/** How Electron's binary marks the switches that are set while packaging; all of them are on before. */
const SWITCHES = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX\x01\x08'
const NATIVE = /\.(node|dll|dylib|so(\.\d+)*)$/

let folder: string

beforeAll(async () => {
  built('main/index.js')
  folder = mkdtempSync(join(tmpdir(), 'lesa-package-'))
  const electron = join(folder, 'electron')
  mkdirSync(join(electron, 'resources'), { recursive: true })
  writeFileSync(join(electron, 'electron'), `#!/bin/sh\n# ${SWITCHES}11111111\n`, { mode: 0o755 })
  for (const file of ['LICENSE', 'LICENSES.chromium.html', 'version', 'resources/keep']) {
    writeFileSync(join(electron, file), '')
  }
  await run(
    process.execPath,
    [
      tool('electron-builder/cli.js'),
      ...['--publish', 'never', '--linux', 'dir', '--x64', '--arm64'],
      `-c.electronDist=${electron}`,
      `-c.directories.output=${folder}`,
    ],
    { cwd: PROJECT },
  )
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe.each([
  ['x64', 'linux-unpacked'],
  ['arm64', 'linux-arm64-unpacked'],
])('the program for %s', (arch, name) => {
  const files = (): string[] =>
    readdirSync(join(folder, name, 'resources'), { recursive: true, encoding: 'utf8' }).map(
      (path) => path.replaceAll('\\', '/'),
    )

  it('has this processor’s libraries, outside of the archive, and no other’s', () => {
    const modules = 'app.asar.unpacked/node_modules'
    const natives = files().filter((path) => NATIVE.test(path))
    const runtime = natives.filter((path) => path.includes('onnxruntime-node'))
    expect(runtime.sort()).toEqual([
      `${modules}/onnxruntime-node/bin/napi-v6/linux/${arch}/libonnxruntime.so.1`,
      `${modules}/onnxruntime-node/bin/napi-v6/linux/${arch}/onnxruntime_binding.node`,
    ])
    const tokenizers = natives.filter((path) => path.includes('tokenizers'))
    // npm has installed this machine's; a package for another processor is made where that is.
    expect(tokenizers).toEqual(
      process.platform === 'linux' && process.arch === arch
        ? [`${modules}/@anush008/tokenizers-linux-${arch}-gnu/tokenizers.linux-${arch}-gnu.node`]
        : [],
    )
    expect(natives).toHaveLength(runtime.length + tokenizers.length)
  })

  it('has the demo model beside the archive', () => {
    expect(files()).toContain('demo-model/model.safetensors')
  })

  it('has what it never needs switched off in its binary', () => {
    const binary = readFileSync(join(folder, name, 'lesa-workbench'), 'latin1')
    const at = binary.indexOf(SWITCHES) + SWITCHES.length
    // Run as Node, cookie encryption, NODE_OPTIONS, inspect, asar integrity, asar only, (snapshot), file privileges.
    expect(binary.slice(at, at + 8)).toBe('01001110')
  })
})

describe.runIf(process.platform === 'linux')('the archive', () => {
  let alone: string
  let resources: string

  beforeAll(async () => {
    const name = process.arch === 'x64' ? 'linux-unpacked' : `linux-${process.arch}-unpacked`
    alone = join(folder, 'alone')
    resources = join(folder, name, 'resources')
    const asar = tool('@electron/asar/bin/asar.js')
    await run(process.execPath, [asar, 'extract', join(resources, 'app.asar'), alone])
  })

  it('has the built program and what it needs, and nothing else of this folder', () => {
    expect(readdirSync(alone).sort()).toEqual(['LICENSE', 'node_modules', 'out', 'package.json'])
    expect(readdirSync(join(alone, 'out')).sort()).toEqual(['main', 'preload', 'renderer'])
    const everything = readdirSync(alone, { recursive: true, encoding: 'utf8' })
    expect(everything.filter((path) => path.endsWith('.map'))).toEqual([])
  })

  /** Measures the demo model on a short text, with what was in the archive. */
  const evaluate = (): Promise<{ stdout: string }> => {
    const demo = join(resources, 'demo-model')
    const text = join(folder, 'text.txt')
    writeFileSync(text, readFileSync(join(demo, 'eval.txt'), 'utf8').slice(0, 2_000))
    return run(
      process.execPath,
      [join(alone, 'out/main/cli.js'), 'evaluate', demo, '--text', text, '--json'],
      { cwd: folder, env: { ...process.env, LESA_USER_DATA: join(folder, 'user') } },
    )
  }

  it('is complete: its program computes with nothing beside it', async () => {
    const { stdout } = await evaluate()
    expect(JSON.parse(stdout)).toMatchObject({ results: [{ num_hidden_layers: 12 }] })
  })

  it('says plainly when the runtime’s library is missing', async () => {
    rmSync(join(alone, 'node_modules/onnxruntime-node/bin'), { recursive: true })
    const failed = (await evaluate().catch((error: unknown) => error)) as Record<string, string>
    expect(failed['code']).toBe(1)
    const stderr = failed['stderr'] ?? ''
    expect(JSON.parse(stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
      error: {
        code: 'device_unavailable',
        message: expect.stringContaining('library is missing') as unknown,
        hint: expect.stringContaining('npm ci') as unknown,
      },
    })
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

describe('the metadata that installers need', () => {
  it('is there', () => {
    const metadata: unknown = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))
    expect(metadata).toMatchObject({
      description: expect.stringMatching(/\w/) as unknown,
      homepage: expect.stringMatching(/^https:/) as unknown,
      author: {
        name: expect.stringMatching(/\w/) as unknown,
        email: expect.stringMatching(/@/) as unknown,
      },
    })
    // 512 pixels at least, from which every system's icon is made.
    const icon = readFileSync(join(PROJECT, 'resources/icon.png'))
    expect(icon.readUInt32BE(16)).toBeGreaterThanOrEqual(512)
    expect(icon.readUInt32BE(20)).toBe(icon.readUInt32BE(16))
  })
})
