import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { modelLabelOf } from '@shared/hub'
import { runIdSchema } from '@shared/projects'
import {
  DEFAULT_SETTINGS,
  recentFactsSchema,
  settingsSchema,
  type RecentEntry,
  type RecentFacts,
  type Settings,
  type SettingsPatch,
} from '@shared/settings'
import { writeJsonAtomic } from '@system/files'
import { z } from 'zod'
import { projectPaths } from '../projects/layout'
import { Serial } from './Serial'
import { readStored, setAside } from './stored'

const SCHEMA_VERSION = 1

/** What is missing, from an older version for instance, has its default. */
const settingsFileSchema = z.object({
  schema_version: z.literal(SCHEMA_VERSION),
  theme: settingsSchema.shape.theme.default(DEFAULT_SETTINGS.theme),
  device: settingsSchema.shape.device.default(DEFAULT_SETTINGS.device),
  memoryLimitBytes: settingsSchema.shape.memoryLimitBytes.default(null),
  workLimitBytes: settingsSchema.shape.workLimitBytes.default(DEFAULT_SETTINGS.workLimitBytes),
  projectsFolder: settingsSchema.shape.projectsFolder.default(null),
})

const recentSchema = z.object({
  kind: z.enum(['project', 'model']),
  path: z.string().min(1).max(4096),
  name: z.string().min(1).max(1000),
  openedAt: z.number(),
  // A fact that cannot be read is one that is not told, no reason to lose the list.
  facts: recentFactsSchema.optional().catch(undefined),
})

const recentsFileSchema = z.object({
  schema_version: z.literal(SCHEMA_VERSION),
  entries: z.array(recentSchema).max(10_000),
})

type Recent = z.infer<typeof recentSchema>

/** More than anybody looks through. */
const MAX_RECENTS = 30

/**
 * A person's settings and recents. Every change reads the file first, so that two programs at once lose nothing of each
 * other's; a damaged file is set aside.
 */
export class UserStore {
  readonly #serial = new Serial()

  /** @param folder Made when it is first written to. */
  constructor(
    readonly folder: string,
    private readonly now: () => number = Date.now,
  ) {}

  /** Where what can be computed again is kept; made if need be. */
  async cacheFolder(): Promise<string> {
    const folder = join(this.folder, 'cache')
    await mkdir(folder, { recursive: true })
    return folder
  }

  settings(): Promise<Settings> {
    return this.#serial.run(async () => (await this.#readSettings()).settings)
  }

  /** @throws AppError `unsupported_version` when the file belongs to a newer version of the program. */
  updateSettings(patch: SettingsPatch): Promise<Settings> {
    return this.#serial.run(async () => {
      const { settings, isNewer } = await this.#readSettings()
      if (isNewer) throw newer(this.#settingsFile)
      const given = Object.fromEntries(
        Object.entries(patch).filter(([, value]) => value !== undefined),
      )
      const changed: Settings = { ...settings, ...given }
      await this.#write(this.#settingsFile, { schema_version: SCHEMA_VERSION, ...changed })
      return changed
    })
  }

  /** Newest first, with whether each is still there. */
  recents(): Promise<RecentEntry[]> {
    return this.#serial.run(async () => this.#withExistence((await this.#readRecents()).entries))
  }

  /** Puts an entry first, whether it is known or not. A list of a newer version is left as it is. */
  addRecent(entry: {
    kind: Recent['kind']
    path: string
    name?: string
    /** Those that are known from before stay when there are none. */
    facts?: RecentFacts | undefined
  }): Promise<RecentEntry[]> {
    return this.#changeRecents((entries) => {
      const facts = entry.facts ?? entries.find(({ path }) => path === entry.path)?.facts
      return [
        {
          kind: entry.kind,
          path: entry.path,
          name: entry.name ?? modelLabelOf(entry.path),
          openedAt: this.now(),
          ...(facts ? { facts } : {}),
        },
        ...entries.filter(({ path }) => path !== entry.path),
      ]
    })
  }

  removeRecent(path: string): Promise<RecentEntry[]> {
    return this.#changeRecents((entries) => entries.filter((entry) => entry.path !== path))
  }

  clearRecents(): Promise<RecentEntry[]> {
    return this.#changeRecents(() => [])
  }

  get #settingsFile(): string {
    return join(this.folder, 'settings.json')
  }

  get #recentsFile(): string {
    return join(this.folder, 'recents.json')
  }

  async #readSettings(): Promise<{ settings: Settings; isNewer: boolean }> {
    const stored = await readStored(this.#settingsFile, settingsFileSchema, SCHEMA_VERSION)
    if (stored.state === 'ok') {
      const { schema_version: _, ...settings } = stored.value
      return { settings, isNewer: false }
    }
    if (stored.state === 'damaged') await setAside(this.#settingsFile)
    return { settings: DEFAULT_SETTINGS, isNewer: stored.state === 'newer' }
  }

  async #readRecents(): Promise<{ entries: Recent[]; isNewer: boolean }> {
    const stored = await readStored(this.#recentsFile, recentsFileSchema, SCHEMA_VERSION)
    if (stored.state === 'ok') return { entries: stored.value.entries, isNewer: false }
    if (stored.state === 'damaged') await setAside(this.#recentsFile)
    return { entries: [], isNewer: stored.state === 'newer' }
  }

  #changeRecents(change: (entries: readonly Recent[]) => Recent[]): Promise<RecentEntry[]> {
    return this.#serial.run(async () => {
      const { entries: before, isNewer } = await this.#readRecents()
      const entries = change(before).slice(0, MAX_RECENTS)
      if (!isNewer) {
        await this.#write(this.#recentsFile, { schema_version: SCHEMA_VERSION, entries })
      }
      return this.#withExistence(entries)
    })
  }

  async #write(file: string, value: unknown): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    await writeJsonAtomic(file, value)
  }

  #withExistence(entries: readonly Recent[]): Promise<RecentEntry[]> {
    return Promise.all(
      entries.map(async (entry) => ({
        ...entry,
        name: entry.kind === 'model' ? modelLabelOf(entry.path) : entry.name,
        exists: (await stat(entry.path).catch(() => null)) !== null,
        ...(entry.kind === 'project' ? { runs: await countRuns(entry.path) } : {}),
      })),
    )
  }
}

/** From the folder itself: runs come and go while the list stays. */
async function countRuns(project: string): Promise<number | undefined> {
  const names = await readdir(projectPaths.runs(project)).catch(() => undefined)
  return names?.filter((name) => runIdSchema.safeParse(name).success).length
}

function newer(file: string): AppError {
  return new AppError('unsupported_version', `${file} was written by a newer version.`, {
    hint: 'Update the program, or remove the file.',
    context: { file },
  })
}
