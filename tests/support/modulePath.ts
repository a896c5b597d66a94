import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { transformWithOxc, type Plugin } from 'vite'

const SUFFIX = '?modulePath'

/** Where Node finds the packages that an entry imports. */
const FOLDER = resolve(import.meta.dirname, '../../node_modules/.cache/lesa-tests')

/** What the build does for `?modulePath`, for an entry of one file: a path that Node can start. */
export function modulePath(): Plugin {
  return {
    name: 'module-path',
    enforce: 'pre',
    async load(id) {
      if (!id.endsWith(SUFFIX)) return null
      const source = id.slice(0, -SUFFIX.length)
      const { code } = await transformWithOxc(readFileSync(source, 'utf8'), source)
      mkdirSync(FOLDER, { recursive: true })
      const file = join(FOLDER, `${basename(source, '.ts')}-${process.pid}.mjs`)
      writeFileSync(file, code)
      return `export default ${JSON.stringify(file)}`
    },
  }
}
