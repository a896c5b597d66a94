import { beforeEach, describe, expect, it, vi } from 'vitest'
import { nativeServices } from '../../../../src/main/app/nativeServices'

const { electron } = vi.hoisted(() => ({
  electron: {
    dialog: { showOpenDialog: vi.fn() },
    shell: { showItemInFolder: vi.fn(), trashItem: vi.fn() },
  },
}))
vi.mock('electron', () => electron)

const { dialog, shell } = electron
const parent = { id: 1 } as never

beforeEach(() => {
  vi.clearAllMocks()
  dialog.showOpenDialog.mockResolvedValue({ canceled: false, filePaths: ['/chosen'] })
})

describe('a native dialog', () => {
  it('belongs to the window, and says what it is for', async () => {
    const native = nativeServices(() => parent)
    expect(await native.chooseFolder('model')).toBe('/chosen')
    expect(dialog.showOpenDialog).toHaveBeenCalledWith(
      parent,
      expect.objectContaining({ properties: ['openDirectory', 'createDirectory'] }),
    )
    await native.chooseTextFile('train')
    expect(dialog.showOpenDialog).toHaveBeenLastCalledWith(
      parent,
      expect.objectContaining({
        properties: ['openFile'],
        filters: [
          { name: 'Text', extensions: ['txt', 'jsonl', 'gz', 'parquet'] },
          { name: 'All files', extensions: ['*'] },
        ],
      }),
    )
  })

  it('stands alone without a window; dismissed, it answers nothing', async () => {
    dialog.showOpenDialog.mockResolvedValue({ canceled: true, filePaths: [] })
    expect(await nativeServices(() => null).chooseFolder('output')).toBeNull()
    expect(dialog.showOpenDialog.mock.calls[0]).toHaveLength(1)
  })
})

describe('the trash', () => {
  it('is the system’s, and its refusal is said in our words', async () => {
    const native = nativeServices(() => parent)
    shell.trashItem.mockResolvedValueOnce(undefined)
    await native.trash('/project')
    expect(shell.trashItem).toHaveBeenCalledWith('/project')
    shell.trashItem.mockRejectedValueOnce(new Error('Failed to perform delete operation'))
    await expect(native.trash('/project')).rejects.toMatchObject({
      code: 'write_failed',
      context: { file: '/project' },
    })
  })
})
