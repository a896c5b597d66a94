import { z } from 'zod'
import { DEVICE_CHOICES } from './devices'
import type { ModelSummary } from './model'

export const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

/** What a person has chosen for the whole program; kept in the user's own folder. */
export const settingsSchema = z.object({
  theme: z.enum(THEMES),
  /** What new projects and evaluations start with. */
  device: z.enum(DEVICE_CHOICES),
  /** Main memory a job may use at most; `null` for whatever is free. Estimates are judged by it. */
  memoryLimitBytes: z.int().min(512e6).max(1e15).nullable(),
  /** How much of finished stages a project keeps for later runs, which then need not compute them again. */
  workLimitBytes: z.int().min(0).max(1e15),
  /** Where new projects are made; `null` for the default. */
  projectsFolder: z.string().min(1).max(4096).nullable(),
})

export type Settings = z.infer<typeof settingsSchema>

export const settingsPatchSchema = settingsSchema.partial()
export type SettingsPatch = z.infer<typeof settingsPatchSchema>

export const DEFAULT_SETTINGS: Settings = {
  theme: 'auto',
  device: 'auto',
  memoryLimitBytes: null,
  workLimitBytes: 20e9,
  projectsFolder: null,
}

/** What is told of a model in the list of recents. */
export const recentFactsSchema = z.object({
  layers: z.int().nonnegative(),
  parameters: z.number().nonnegative(),
})
export type RecentFacts = z.infer<typeof recentFactsSchema>

export function recentFactsOf(
  model: Pick<ModelSummary, 'num_hidden_layers' | 'parameters'>,
): RecentFacts {
  return { layers: model.num_hidden_layers, parameters: model.parameters }
}

/** Something that was opened before. */
export interface RecentEntry {
  readonly kind: 'project' | 'model'
  /** Absolute. */
  readonly path: string
  readonly name: string
  /** Milliseconds since 1970. */
  readonly openedAt: number
  /** False when nothing is at `path` any more; such an entry is shown, and can be removed. */
  readonly exists: boolean
  /** Of the model, or of the project's; absent when it was last opened without them being known. */
  readonly facts?: RecentFacts | undefined
  /** How many runs a project has now. */
  readonly runs?: number | undefined
}
