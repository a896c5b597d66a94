import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folderNameOf } from '../../../../src/main/projects/layout'
import { resolveModelPath, storedModelPath } from '../../../../src/main/projects/modelPath'

describe("a project's folder name", () => {
  it.each([
    ['Llama 3, grown', 'Llama 3, grown'],
    ['Größe ü 模型', 'Größe ü 模型'],
    ['a/b\\c:d*e?f"g<h>i|j', 'a-b-c-d-e-f-g-h-i-j'],
    ['../../etc', '-..-etc'],
    ['...', 'Project'],
    ['   ', 'Project'],
    ['.hidden', 'hidden'],
    ['ends with dots...', 'ends with dots'],
    ['NUL', '_NUL'],
    ['com1.txt', '_com1.txt'],
    ['tab\tnew\nline', 'tab-new-line'],
    ['x'.repeat(200), 'x'.repeat(80)],
  ])('of %j is %j', (name, folder) => {
    expect(folderNameOf(name)).toBe(folder)
  })
})

describe("a project's model", () => {
  const project = resolve('/work/projects/mine')

  it('is named so that it can move with the project when it lies in it or beside it', () => {
    for (const [model, stored] of [
      ['/work/projects/mine/model', 'model'],
      ['/work/projects/mine/models/base', 'models/base'],
      ['/work/projects/base', '../base'],
      ['/work/models/base', resolve('/work/models/base')],
      ['/elsewhere/base', resolve('/elsewhere/base')],
    ] as const) {
      const path = resolve(model)
      expect(storedModelPath(project, path)).toBe(stored)
      expect(resolveModelPath(project, stored)).toBe(path)
    }
  })

  it('moves with the folder', () => {
    const moved = resolve('/usb/stick/mine')
    expect(resolveModelPath(moved, '../base')).toBe(join(resolve('/usb/stick'), 'base'))
  })

  it('is nowhere when only another system can have such a path', () => {
    const foreign = process.platform === 'win32' ? '/home/x/model' : 'D:\\models\\base'
    expect(resolveModelPath(project, foreign)).toBeNull()
    expect(resolveModelPath(project, '')).toBeNull()
  })
})
