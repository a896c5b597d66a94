import { z } from 'zod'
import { baseName } from '../paths'
import type { ExpandResult } from './expand'
import type { RequestedKind } from './kind'
import { outputFields, path, recipesField } from './output'

/** Write the checkpoint of a job's folder whose weight types are all there. */
export const assembleSpecSchema = z.object({
  kind: z.literal('assemble'),
  job: path,
  ...outputFields,
  ...recipesField,
})
export type AssembleSpec = z.infer<typeof assembleSpecSchema>

/** It ends as growing in one go does. */
export const assemble: RequestedKind<AssembleSpec, ExpandResult> = {
  kind: 'assemble',
  schema: assembleSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    job: at(spec.job, 'keeps'),
    out: at(spec.out, 'writes'),
  }),
  title: ({ out }) => `Assembling ${baseName(out)}`,
  doing: 'writing the checkpoint',
}
