import { z } from 'zod'
import type { DeviceDecision } from '../devices'
import { weightTypeSchema } from '../slots'
import { growthFields, mapGrowthPaths } from './growth'
import type { RequestedKind } from './kind'
import { path } from './output'

/** Compute the new matrices of some weight types into a job's folder: LESA's stages, one machine's part of them. */
export const stagesSpecSchema = z.object({
  kind: z.literal('stages'),
  ...growthFields,
  job: path,
  only: z.array(weightTypeSchema).min(1),
})
export type StagesSpec = z.infer<typeof stagesSpecSchema>

/** Result of a `stages` job. */
export interface StagesResult {
  readonly kind: 'stages'
  readonly job: string
  /** Weight types whose new matrices are in the job's folder, and those that are not. */
  readonly done: readonly string[]
  readonly missing: readonly string[]
  readonly device: DeviceDecision | null
  readonly seconds: number
}

export const stages: RequestedKind<StagesSpec, StagesResult> = {
  kind: 'stages',
  schema: stagesSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...mapGrowthPaths(spec, at),
    job: at(spec.job, 'keeps'),
  }),
  title: ({ only }) => `Computing ${only.join(', ')}`,
  doing: 'computing weight types',
}
