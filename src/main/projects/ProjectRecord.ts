import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { AppError, toAppError } from '@shared/errors'
import type { ProjectId, ProjectProblem } from '@shared/projects'
import { writeJsonAtomic } from '@system/files'
import { Serial } from '../storage/Serial'
import { readStored, setAside } from '../storage/stored'
import { PROJECT_FILE, projectPaths } from './layout'
import { projectFileSchema, salvageProject, SCHEMA_VERSION, type ProjectFile } from './schemas'

/** Opaque and the same for the same folder. @param folder Absolute, links resolved. */
export function projectIdOf(folder: string): ProjectId {
  return createHash('sha256').update(folder).digest('hex').slice(0, 16)
}

/**
 * Reads a project's file. A damaged one is set aside and what can be is saved of it, which `problem` says; it is not yet
 * written again.
 *
 * @throws AppError `not_found`, `unsupported_version`, or what the system says.
 */
export async function readProjectFile(
  folder: string,
): Promise<{ readonly file: ProjectFile; readonly problem: ProjectProblem | null }> {
  const path = projectPaths.file(folder)
  const stored = await readStored(path, projectFileSchema, SCHEMA_VERSION)
  switch (stored.state) {
    case 'absent':
      throw new AppError('not_found', `${folder} is not a project.`, {
        hint: `A project's folder holds ${PROJECT_FILE}.`,
        context: { file: path },
      })
    case 'newer':
      throw new AppError(
        'unsupported_version',
        'The project was made by a newer version of the program.',
        {
          hint: 'Update the program to open it. Nothing was changed.',
          context: {
            file: path,
            expected: `version ${SCHEMA_VERSION}`,
            actual: `version ${stored.version}`,
          },
        },
      )
    case 'damaged': {
      const aside = await setAside(path)
      const message =
        `The project's file is damaged (${stored.reason}) and was set aside as ${aside}. What could be read of it ` +
        'and all runs are here; check the model, the notes and the plan.'
      return {
        file: salvageProject(stored.json, basename(folder).slice(0, 100), Date.now()),
        problem: { file: PROJECT_FILE, setAside: aside, message },
      }
    }
    case 'ok':
      return { file: stored.value, problem: null }
  }
}

/** A project's file and its problems, which its parts share; says when the window has something new to show. */
export class ProjectRecord {
  readonly id: ProjectId
  readonly problems: ProjectProblem[] = []
  #file: ProjectFile
  readonly #serial = new Serial()

  constructor(
    /** Absolute, links resolved. */
    readonly folder: string,
    file: ProjectFile,
    /** Something that the window shows has changed. */
    readonly changed: () => void,
  ) {
    this.id = projectIdOf(folder)
    this.#file = file
  }

  get file(): Readonly<ProjectFile> {
    return this.#file
  }

  async change(change: Partial<Omit<ProjectFile, 'schema_version'>>): Promise<void> {
    this.#file = { ...this.#file, ...change }
    await this.write()
    this.changed()
  }

  write(): Promise<void> {
    return this.#serial.run(() => writeJsonAtomic(projectPaths.file(this.folder), this.#file))
  }

  /** Shows what could not be written, once. */
  report(thrown: unknown): void {
    const { message, context } = toAppError(thrown)
    const file = basename(context?.file ?? this.folder)
    if (this.problems.some((known) => known.message === message)) return
    this.problems.push({ file, setAside: null, message })
    this.changed()
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    await this.#serial.idle()
  }
}
