import { COMMANDS, commandOfKey, formatAccelerator, type CommandId } from '@shared/commands'
import type { MenuItemConstructorOptions } from 'electron'
import { describe, expect, it } from 'vitest'
import { menuTemplate } from '../../../../src/main/app/menu'

function flatten(items: readonly MenuItemConstructorOptions[]): MenuItemConstructorOptions[] {
  return items.flatMap((item) => [
    item,
    ...(Array.isArray(item.submenu) ? flatten(item.submenu) : []),
  ])
}

describe('the menu', () => {
  it('has every command of the table, with its keys', () => {
    const chosen: CommandId[] = []
    const items = flatten(
      menuTemplate((id) => chosen.push(id), { isMac: false, isDevelopment: false }),
    )
    for (const command of COMMANDS) {
      const item = items.find(({ id }) => id === command.id)
      expect(item).toMatchObject({ label: command.label, accelerator: command.accelerator })
      item?.click?.({} as never, undefined, {})
    }
    expect(chosen).toEqual(COMMANDS.map(({ id }) => id))
  })

  it('gives developers’ tools to developers only', () => {
    const roles = (isDevelopment: boolean): unknown[] =>
      flatten(menuTemplate(() => {}, { isMac: true, isDevelopment })).map(({ role }) => role)
    expect(roles(false)).not.toContain('toggleDevTools')
    expect(roles(true)).toContain('toggleDevTools')
  })
})

describe('the keys', () => {
  const press = (key: string, modifiers: Partial<Record<string, boolean>> = {}) => ({
    key,
    ctrlKey: false,
    metaKey: false,
    shiftKey: false,
    altKey: false,
    ...modifiers,
  })

  it('are those of the table, with the system’s main modifier', () => {
    expect(commandOfKey(press('o', { ctrlKey: true }), false)).toBe('model:open')
    expect(commandOfKey(press('O', { metaKey: true }), true)).toBe('model:open')
    expect(commandOfKey(press('Enter', { ctrlKey: true }), false)).toBe('job:run')
    expect(commandOfKey(press('.', { ctrlKey: true }), false)).toBe('job:cancel')
  })

  it('are no others', () => {
    expect(commandOfKey(press('o'), false)).toBeNull()
    expect(commandOfKey(press('o', { metaKey: true }), false)).toBeNull()
    expect(commandOfKey(press('p', { ctrlKey: true, shiftKey: true }), false)).toBeNull()
    expect(commandOfKey(press('o', { ctrlKey: true, altKey: true }), false)).toBeNull()
    expect(commandOfKey(press('p', { ctrlKey: true }), false)).toBeNull()
  })

  it('belong to one command each, and are written as the system writes them', () => {
    expect(new Set(COMMANDS.map(({ accelerator }) => accelerator)).size).toBe(COMMANDS.length)
    expect(formatAccelerator('CmdOrCtrl+Shift+Enter', false)).toBe('Ctrl+Shift+↵')
    expect(formatAccelerator('CmdOrCtrl+O', true)).toBe('⌘O')
  })
})
