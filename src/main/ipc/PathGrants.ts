import { realpathSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { AppError } from '@shared/errors'
import { isWithin } from '../jobs/output'
import { resolvePath } from './paths'

/**
 * The folders and files that the person has opened, the only ones that paths from a window may lead into: chosen in a
 * native dialog or in the picker, dropped on the window, or remembered from before. Links are followed before paths are
 * compared.
 */
export class PathGrants {
  readonly #roots = new Set<string>()
  readonly #remembered: () => Promise<readonly string[]>

  /** @param remembered Further roots, asked for when the others do not do: the recents. */
  constructor(remembered: () => Promise<readonly string[]> = () => Promise.resolve([])) {
    this.#remembered = remembered
  }

  /** The person has opened this; it need not exist yet. Returns it as an absolute path. */
  grant(path: string): string {
    const full = resolvePath(path)
    this.#roots.add(canonical(full))
    return full
  }

  /** @throws AppError `path_denied` for a path outside of what the person has opened. */
  async require(path: string): Promise<string> {
    const full = resolvePath(path)
    const real = canonical(full)
    for (const root of this.#roots) if (isWithin(real, root)) return full
    for (const remembered of await this.#remembered()) {
      if (isWithin(real, canonical(remembered))) return full
    }
    throw new AppError('path_denied', `${full} is not in a folder that you have opened.`, {
      hint: 'Choose it with the button, or drop it on the window.',
      context: { file: full },
    })
  }
}

/** With the links of the part that exists resolved. */
function canonical(path: string): string {
  for (let existing = path; ; existing = dirname(existing)) {
    try {
      return join(realpathSync.native(existing), relative(existing, path))
    } catch {
      if (existing === dirname(existing)) return path
    }
  }
}
