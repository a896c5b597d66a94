import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readConfigText } from '../../../../src/main/engine/queries/describe'
import { planSynthesis } from '../../../../src/main/engine/synthesis/synthesize'
import { tempFolder } from '../../../support/tempFolder'

it.skipIf(process.platform === 'win32')(
  'a config that is a pipe is refused, not waited for',
  async () => {
    const folder = await tempFolder()
    const like = join(folder, 'config.json')
    execFileSync('mkfifo', [like])
    const refusal = {
      code: 'bad_checkpoint',
      context: { file: like, actual: 'not a regular file' },
    }
    await expect(readConfigText(folder)).rejects.toMatchObject(refusal)
    const synthesis = planSynthesis({ like: { config: like }, dtype: 'bf16' })
    await expect(synthesis).rejects.toMatchObject(refusal)
  },
)

it('a config that is a folder is refused with its name', async () => {
  const folder = await tempFolder()
  const file = join(folder, 'config.json')
  mkdirSync(file)
  await expect(readConfigText(folder)).rejects.toMatchObject({ context: { file } })
})
