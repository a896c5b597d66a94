import { resolve } from 'node:path'
import type { DeviceChoice } from '@shared/devices'
import { placeSpecSchema } from '@shared/jobs'
import { MAX_GAPS } from '@shared/methods/gaps'
import { modelFolderOf } from '@system/hubCache'
import { checkedSpec } from '../checkedSpec'
import { runEstimatedJob } from '../estimatedJob'
import { formatPlaces, suggestionsOf } from '../placeResults'
import type { CommandContext } from '../program'
import { UsageError } from '../usage'

export interface PlaceOptions {
  readonly text: string
  readonly tokens?: number
  readonly context?: number
  readonly blocks?: number
  readonly candidate?: readonly string[]
  readonly count?: number
  readonly seed?: number
  readonly device?: DeviceChoice
  readonly memory?: number
  readonly deviceMemory?: number
}

/** @throws UsageError before anything is started. */
export async function place(
  model: string,
  options: PlaceOptions,
  context: CommandContext,
): Promise<number> {
  const { io } = context
  const { count } = options
  if (count !== undefined && (count < 1 || count > MAX_GAPS)) {
    throw new UsageError(`--count: expected 1 to ${MAX_GAPS} new layers, given ${count}`)
  }
  const given = {
    tokens: options.tokens,
    context: options.context,
    memoryBytes: options.memory,
    deviceMemoryBytes: options.deviceMemory,
  }
  const spec = checkedSpec(
    placeSpecSchema,
    {
      kind: 'place',
      model: await modelFolderOf(model, io.cwd),
      text: resolve(io.cwd, options.text),
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      blocks: options.blocks ?? 1,
      candidates: await Promise.all(
        (options.candidate ?? []).map((path) => modelFolderOf(path, io.cwd)),
      ),
      device: options.device ?? 'auto',
      seed: options.seed ?? 0,
    },
    {
      model: 'MODEL',
      candidates: '--candidate',
      memoryBytes: '--memory',
      deviceMemoryBytes: '--device-memory',
    },
  )
  return runEstimatedJob(
    spec,
    context,
    (result) => formatPlaces(result, suggestionsOf(result.report, count), io.cwd),
    ({ report, device, seconds, warnings }) => ({
      model: spec.model,
      text: spec.text,
      ...report,
      suggestions: suggestionsOf(report, count),
      device: device.device,
      warnings,
      seconds,
    }),
  )
}
