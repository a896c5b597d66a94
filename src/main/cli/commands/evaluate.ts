import { resolve } from 'node:path'
import type { DeviceChoice } from '@shared/devices'
import { evaluateSpecSchema } from '@shared/jobs'
import { modelFolderOf } from '@system/hubCache'
import { checkedSpec } from '../checkedSpec'
import { runJob } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatPerplexities, toJson } from '../results'
import { formatEvaluation, verdictOf } from '../evaluationResults'

export interface EvaluateOptions {
  readonly text: string
  readonly context?: number
  readonly base?: string
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
      ...(options.base === undefined ? {} : { base: await modelFolderOf(options.base, io.cwd) }),
      text: resolve(io.cwd, options.text),
      ...(options.context === undefined ? {} : { context: options.context }),
      perLine: options.perLine ?? false,
      device: options.device ?? 'auto',
    },
    { models: 'MODEL', base: '--base' },
  )
  const end = await runJob(spec, context)
  if ('exitCode' in end) return end.exitCode
  const { results, base } = end.result
  if (results.length === 1 && base === undefined) {
    io.stdout.write(json ? toJson({ results }) : formatPerplexities(results, io.cwd))
    return EXIT_OK
  }
  const asked = { cwd: io.cwd, text: spec.text, base: spec.base }
  io.stdout.write(
    json
      ? toJson({ ...(base ? { base } : {}), results, verdict: verdictOf(end.result, asked) })
      : formatEvaluation(end.result, asked),
  )
  return EXIT_OK
}
