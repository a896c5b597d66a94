import { resolve } from 'node:path'
import {
  DEFAULT_SHARD_BYTES,
  synthSpecSchema,
  type SynthResult,
  type SynthSpec,
} from '@shared/jobs'
import { formatBytes, formatCount, formatDuration } from '@shared/units'
import { checkedSpec } from '../checkedSpec'
import { SYNTH_PRESET_CHOICES } from '../choices'
import { EXIT_OK } from '../exitCodes'
import { runJob } from '../job'
import type { CommandContext } from '../program'
import { toJson } from '../results'
import { formatFields } from '../table'

export interface SynthOptions {
  readonly like: string
  readonly out: string
  readonly layers?: number
  readonly dtype?: SynthSpec['dtype']
  readonly maxShardSize?: number
  readonly overwrite?: boolean
  readonly seed?: number
}

/** @throws UsageError before anything is started. */
export async function synth(options: SynthOptions, context: CommandContext): Promise<number> {
  const { io, json } = context
  const end = await runJob(buildSynthSpec(options, io.cwd), context)
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  io.stdout.write(json ? toJson(result) : formatSynthesis(end.result))
  return EXIT_OK
}

/** @throws UsageError when a value is out of range. */
export function buildSynthSpec(options: SynthOptions, cwd: string): SynthSpec {
  const preset = SYNTH_PRESET_CHOICES.find((name) => name === options.like)
  return checkedSpec(
    synthSpecSchema,
    {
      kind: 'synth',
      like: preset ? { preset } : { config: resolve(cwd, options.like) },
      ...(options.layers === undefined ? {} : { layers: options.layers }),
      out: resolve(cwd, options.out),
      overwrite: options.overwrite ?? false,
      dtype: options.dtype ?? 'bf16',
      maxShardBytes: options.maxShardSize ?? DEFAULT_SHARD_BYTES,
      seed: options.seed ?? 0,
    },
    { maxShardBytes: '--max-shard-size' },
  )
}

function formatSynthesis(result: SynthResult): string {
  const shards = `${result.shards} ${result.shards === 1 ? 'shard' : 'shards'}`
  return formatFields([
    ['out', result.out],
    ['architecture', result.architecture],
    ['layers', String(result.num_hidden_layers)],
    ['parameters', formatCount(result.parameters)],
    ['size', `${formatBytes(result.bytes)} in ${shards}`],
    ['element type', result.dtype],
    ['seed', String(result.seed)],
    ['time', formatDuration(result.seconds * 1000)],
  ])
}
