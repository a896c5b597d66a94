/**
 * @file What is kept of a training, so that one that was interrupted goes on: states with everything that decides the
 * steps to come, and how it ended. Each lies in a folder of its own that is synced, checksummed and renamed as the stages
 * of a growth are; of the states the last two stand, so that one that the disk has damaged costs only the steps since the
 * one before.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readError, systemCode } from '@system/errors'
import { removeFolder } from '@system/files'
import { canonical, StageStore, type StageDraft } from '../stages/StageStore'

const point = z.tuple([z.int().min(0), z.number()]).readonly()
const curve = z.array(point)

const recordSchema = z.object({
  /** Steps taken. */
  step: z.int().min(0),
  /** Of training alone. */
  seconds: z.number().min(0),
  curves: z.object({
    seed: z.int().min(0),
    loss: curve,
    eval: curve,
    forgetting: curve,
    gradient_norm: curve,
    elapsed: curve,
  }),
  diverged: z.object({ step: z.int().min(0), loss: z.number() }).nullable(),
})

/** How a training went so far; it goes with every state. */
export type TrainingCourse = z.infer<typeof recordSchema>

const COURSE = 'course.json'

/** States that stand beside each other: the newest, and the one before for the case that it is damaged. */
const KEPT_STATES = 2

/** What was found: how far it is, and the folder of the state; and what lay there that does not count. */
export interface FoundCourse {
  readonly course: TrainingCourse
  readonly folder: string
}

export class TrainingStates {
  readonly #store: StageStore
  readonly #key: unknown

  /**
   * @param root Folder of all trainings.
   * @param keeps Whether it outlives the job.
   * @param key Everything that decides the training's weights and what its curves are of.
   */
  constructor(
    root: string,
    readonly keeps: boolean,
    key: unknown,
  ) {
    const name = createHash('sha256').update(canonical(key)).digest('hex').slice(0, 16)
    this.#store = new StageStore(join(root, name), keeps)
    this.#key = key
  }

  /** The folder that they are in. */
  get folder(): string {
    return this.#store.root
  }

  /**
   * The newest state that is whole, of at most so many steps.
   *
   * @param onDamage Told of each newer one that is not.
   */
  async latest(most: number, onDamage: (damage: string) => void): Promise<FoundCourse | null> {
    for (const step of (await this.#steps()).filter((each) => each <= most).reverse()) {
      const found = await this.#find(stateStage(step), onDamage)
      if (found) return found
    }
    return null
  }

  /** Keeps a state; older ones but one are removed once it stands. @param write Puts its files into a folder. */
  async save(course: TrainingCourse, write: (folder: string) => Promise<void>): Promise<void> {
    await this.#keep(stateStage(course.step), course, write)
    const kept = this.keeps ? KEPT_STATES : 1
    for (const step of (await this.#steps())
      .filter((each) => each <= course.step)
      .slice(0, -kept)) {
      await this.#remove(step)
    }
  }

  /** How the training ended after so many steps, if it has; `damage` lies in the way of no one: it trains again. */
  async ended(steps: number): Promise<TrainingCourse | null> {
    return (await this.#find(endStage(steps), () => undefined))?.course ?? null
  }

  /** Notes how a training of so many steps ended. */
  async end(steps: number, course: TrainingCourse): Promise<void> {
    await this.#keep(endStage(steps), course, () => Promise.resolve())
  }

  /** Removes all states but the newest: the training is over. */
  async settle(): Promise<void> {
    for (const step of (await this.#steps()).slice(0, -1)) await this.#remove(step)
  }

  /** Removes all states: the training will not be gone on with. How it ended stays. */
  async dropStates(): Promise<void> {
    for (const step of await this.#steps()) await this.#remove(step)
  }

  async #keep(
    stage: string,
    course: TrainingCourse,
    write: (folder: string) => Promise<void>,
  ): Promise<void> {
    const draft: StageDraft = await this.#store.begin(stage, this.#key)
    try {
      await write(draft.folder)
      await writeFile(join(draft.folder, COURSE), JSON.stringify(course))
      await draft.commit()
    } finally {
      await draft.discard()
    }
  }

  async #find(stage: string, onDamage: (damage: string) => void): Promise<FoundCourse | null> {
    const found = await this.#store.find(stage, this.#key)
    if (found === null) return null
    if ('damage' in found) {
      onDamage(found.damage)
      return null
    }
    const file = join(found.folder, COURSE)
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw readError(error, file, 'damaged_file')
    })
    const course = recordSchema.safeParse(JSON.parse(text))
    if (course.success) return { course: course.data, folder: found.folder }
    onDamage(`${file} is not the course of a training`)
    return null
  }

  /** Of the states that are there, from the oldest on. */
  async #steps(): Promise<number[]> {
    const names = await readdir(this.#store.root).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return []
      throw readError(error, this.#store.root, 'damaged_file')
    })
    return names
      .map((name) => Number(/^step-(\d+)-[0-9a-f]{16}$/.exec(name)?.[1] ?? NaN))
      .filter((step) => !Number.isNaN(step))
      .sort((a, b) => a - b)
  }

  async #remove(step: number): Promise<void> {
    await removeFolder(this.#store.folderOf(stateStage(step), this.#key))
  }
}

const stateStage = (step: number): string => `step-${step}`
const endStage = (steps: number): string => `end-${steps}`
