import { resolve } from 'node:path'
import type { DeviceChoice } from '@shared/devices'
import { evaluateSpecSchema } from '@shared/jobs'
import { modelFolderOf } from '@system/hubCache'
import { checkedSpec } from '../checkedSpec'
import { runJob } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatPerplexities, toJson } from '../results'

export interface EvaluateOptions {
  readonly text: string
  readonly context?: number
  readonly perLine?: boolean
  readonly device?: DeviceChoice
}

/** @throws UsageError before anything is started. */
export async function evaluate(
  models: readonly string[],
  options: EvaluateOptions,
  context: CommandContext,
): Promise<number> {
  const { io, json } = context
  const spec = checkedSpec(
    evaluateSpecSchema,
    {
      kind: 'evaluate',
      models: await Promise.all(models.map((model) => modelFolderOf(model, io.cwd))),
      text: resolve(io.cwd, options.text),
      ...(options.context === undefined ? {} : { context: options.context }),
      perLine: options.perLine ?? false,
      device: options.device ?? 'auto',
    },
    { models: 'MODEL' },
  )
  const end = await runJob(spec, context)
  if ('exitCode' in end) return end.exitCode
  const { results } = end.result
  io.stdout.write(json ? toJson({ results }) : formatPerplexities(results, io.cwd))
  return EXIT_OK
}
