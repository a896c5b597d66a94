import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MIN_SIZE, readWindowState, writeWindowState } from '../../../../src/main/app/windowState'

const screen = { x: 0, y: 24, width: 1920, height: 1056 }
const second = { x: 1920, y: 0, width: 1280, height: 1024 }

let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-state-'))
  file = join(folder, 'deeper', 'window.json')
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('the window state', () => {
  it('comes back as it was', () => {
    const state = { x: 1950, y: 40, width: 1000, height: 800, maximized: true }
    writeWindowState(file, state)
    expect(readWindowState(file, [screen, second])).toEqual(state)
  })

  it('forgets a place on a screen that is gone, or out of reach', () => {
    for (const place of [
      { x: 1950, y: 40 },
      { x: -900, y: 40 },
      { x: 100, y: -300 },
      { x: 100, y: 1070 },
    ]) {
      writeWindowState(file, { ...place, width: 1000, height: 800, maximized: false })
      expect(readWindowState(file, [screen])).toEqual({
        width: 1000,
        height: 800,
        maximized: false,
      })
    }
  })

  it('fits the screen and is not too small to use', () => {
    writeWindowState(file, { x: 0, y: 24, width: 9_000, height: 10, maximized: false })
    expect(readWindowState(file, [screen])).toEqual({
      x: 0,
      y: 24,
      width: screen.width,
      height: MIN_SIZE.height,
      maximized: false,
    })
  })

  it.each(['', '{', 'null', '{"width":"wide"}', '{"width":1e999,"height":1,"maximized":false}'])(
    'is the default when the file says %j',
    (text) => {
      writeFileSync(join(folder, 'window.json'), text)
      const state = readWindowState(join(folder, 'window.json'), [screen])
      expect(state).toEqual({ width: 1280, height: 860, maximized: false })
    },
  )

  it('does not disturb anybody when it cannot be written', () => {
    writeFileSync(join(folder, 'deeper'), 'a file where a folder should be')
    writeWindowState(file, { width: 1000, height: 800, maximized: false })
    expect(readFileSync(join(folder, 'deeper'), 'utf8')).toContain('a file')
  })
})
