import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveAsset } from '../../../../src/main/host/assets'
import { contentSecurityPolicy, securityHeaders } from '../../../../src/main/host/headers'

let top: string
let root: string

beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-assets-')))
  root = join(top, 'renderer')
  mkdirSync(join(root, 'assets', 'folder.js'), { recursive: true })
  mkdirSync(join(top, 'renderer-other'))
  writeFileSync(join(root, 'index.html'), '<!doctype html>')
  writeFileSync(join(root, 'assets', 'a.js'), '')
  writeFileSync(join(root, 'secret.env'), '')
  writeFileSync(join(top, 'secret.js'), '')
  writeFileSync(join(top, 'renderer-other', 'secret.js'), '')
  if (process.platform !== 'win32') symlinkSync(join(top, 'secret.js'), join(root, 'link.js'))
})

afterAll(() => {
  rmSync(top, { recursive: true, force: true })
})

describe('resolveAsset', () => {
  it('finds the files of the bundle', async () => {
    expect(await resolveAsset(root, '/')).toEqual({
      file: join(root, 'index.html'),
      type: 'text/html; charset=utf-8',
    })
    expect(await resolveAsset(root, '/assets/a.js')).toMatchObject({
      file: join(root, 'assets', 'a.js'),
      type: 'text/javascript; charset=utf-8',
    })
  })

  it.each([
    '/../secret.js',
    '/%2e%2e/secret.js',
    '/..%2fsecret.js',
    '/assets/../../secret.js',
    '/../renderer-other/secret.js',
    '/..\\secret.js',
    '/%5c..%5csecret.js',
    '/link.js',
    '/a.js%00.html',
    '/C:/secret.js',
    '//etc/hosts.js',
    '/secret.env',
    '/assets',
    '/assets/folder.js',
    '/missing.js',
    '/%E0%A4%A.js',
    'assets/a.js',
    '',
  ])('finds nothing at %s', async (path) => {
    expect(await resolveAsset(root, path)).toBeNull()
  })
})

describe('the policy', () => {
  it('is this one', () => {
    expect(contentSecurityPolicy('ws://127.0.0.1:1')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
        "font-src 'self'; connect-src 'self' ws://127.0.0.1:1; base-uri 'none'; " +
        "form-action 'none'; frame-ancestors 'none'",
    )
    expect(contentSecurityPolicy()).not.toContain('unsafe')
  })

  it('comes with the other headers', () => {
    expect(securityHeaders()).toMatchObject({
      'Content-Security-Policy': contentSecurityPolicy(),
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    })
  })
})
