import { resolve } from 'node:path'
import { DEFAULT_SHARD_BYTES } from '@shared/jobs'
import { EXIT_OK } from '../exitCodes'
import { runJob } from '../job'
import type { CommandContext } from '../program'
import { formatExpansion, toJson } from '../results'

export interface AssembleOptions {
  readonly job: string
  readonly out: string
  readonly maxShardSize?: number
  readonly overwrite?: boolean
  readonly recipes?: boolean
}

/** Writes the checkpoint of a job whose weight types were computed apart. */
export async function assemble(options: AssembleOptions, context: CommandContext): Promise<number> {
  const { io, json } = context
  const end = await runJob(
    {
      kind: 'assemble',
      job: resolve(io.cwd, options.job),
      out: resolve(io.cwd, options.out),
      overwrite: options.overwrite ?? false,
      maxShardBytes: options.maxShardSize ?? DEFAULT_SHARD_BYTES,
      ...(options.recipes === false ? { recipes: false } : {}),
    },
    context,
  )
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  io.stdout.write(json ? toJson(result) : formatExpansion(end.result))
  return EXIT_OK
}
