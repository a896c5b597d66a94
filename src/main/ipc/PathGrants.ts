import { AppError } from '@shared/errors'
import { canonicalPath, isWithin } from '@system/paths'
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
    this.#roots.add(canonicalPath(full))
    return full
  }

  /** @throws AppError `path_denied` for a path outside of what the person has opened. */
  async require(path: string): Promise<string> {
    const full = resolvePath(path)
    for (const root of this.#roots) {
      // What has become a link since leads to where the person has not been.
      if (canonicalPath(root) === root && isWithin(full, root)) return full
    }
    for (const remembered of await this.#remembered()) if (isWithin(full, remembered)) return full
    throw new AppError('path_denied', `${full} is not in a folder that you have opened.`, {
      hint: 'Choose it with the button, or drop it on the window.',
      context: { file: full },
    })
  }
}
