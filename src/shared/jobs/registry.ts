import { z } from 'zod'
import { analyse } from './analyse'
import { assemble } from './assemble'
import { descent } from './descent'
import { evaluate } from './evaluate'
import { expand } from './expand'
import { exportModel } from './export'
import { generate } from './generate'
import type { JobKind, PathRole } from './kind'
import { place } from './place'
import { pretrain } from './pretrain'
import { stages } from './stages'
import { statistics } from './statistics'
import { synth } from './synth'

export * from './analyse'
export * from './assemble'
export * from './descent'
export * from './evaluate'
export * from './expand'
export * from './export'
export * from './generate'
export * from './place'
export * from './pretrain'
export * from './stages'
export * from './statistics'
export * from './synth'

/** Every kind of job. */
export const JOB_KINDS = {
  expand,
  evaluate,
  synth,
  stages,
  assemble,
  statistics,
  export: exportModel,
  analyse,
  pretrain,
  generate,
  place,
  descent,
}

type Kinds = typeof JOB_KINDS
export type JobKindName = keyof Kinds

export type SpecOf<K extends JobKindName> = Parameters<Kinds[K]['mapPaths']>[0]
export type ResultOf<K extends JobKindName> = NonNullable<Kinds[K]['result']>

type RequestedKindName = {
  [K in JobKindName]: Kinds[K] extends { readonly schema: unknown } ? K : never
}[JobKindName]

/** What can be asked for from outside. */
export type RequestedJobSpec = SpecOf<RequestedKindName>
export type JobSpec = SpecOf<JobKindName>
export type JobResult = ResultOf<JobKindName>

const schemas = Object.values(JOB_KINDS).flatMap((kind) => ('schema' in kind ? [kind.schema] : []))

export const jobSpecSchema: z.ZodType<RequestedJobSpec> = z.discriminatedUnion('kind', [
  expand.schema,
  ...schemas.filter((schema) => schema !== expand.schema),
])

/** The kind of a job. */
export function kindOf<S extends JobSpec>(spec: S): JobKind<S, JobResult> {
  return JOB_KINDS[spec.kind] as JobKind<S, JobResult>
}

/** The paths in a job's spec that have a role. */
export function pathsOf(spec: JobSpec, role: PathRole): string[] {
  const found: string[] = []
  kindOf(spec).mapPaths(spec, (path, its) => {
    if (its === role) found.push(path)
    return path
  })
  return found
}

/** The spec with every path as `resolve` answers it. */
export async function resolvePaths<S extends JobSpec>(
  spec: S,
  resolve: (path: string) => Promise<string>,
): Promise<S> {
  const given = new Set<string>()
  const kind = kindOf(spec)
  kind.mapPaths(spec, (path) => {
    given.add(path)
    return path
  })
  const resolved = new Map<string, string>()
  for (const path of given) resolved.set(path, await resolve(path))
  return kind.mapPaths(spec, (path) => resolved.get(path) ?? path)
}
