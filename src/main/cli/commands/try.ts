import { resolve } from 'node:path'
import type { DeviceChoice } from '@shared/devices'
import { AppError } from '@shared/errors'
import { GENERATION_DEFAULTS } from '@shared/generation'
import { generateSpecSchema } from '@shared/jobs'
import { boundedRead } from '@system/boundedRead'
import { modelFolderOf } from '@system/hubCache'
import { checkedSpec } from '../checkedSpec'
import { EXIT_OK } from '../exitCodes'
import { runJob } from '../job'
import type { CommandContext } from '../program'
import { toJson } from '../results'
import { formatContinuations } from '../tryResults'
import { UsageError } from '../usage'

export interface TryOptions {
  readonly prompt?: string
  readonly promptFile?: string
  readonly tokens?: number
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly seed?: number
  readonly device?: DeviceChoice
  readonly memory?: number
  readonly deviceMemory?: number
}

/** More than a prompt may have. */
const MAX_PROMPT_BYTES = 1e6

/** @throws UsageError before anything is started. */
export async function tryModels(
  models: readonly string[],
  options: TryOptions,
  context: CommandContext,
): Promise<number> {
  const { io, json } = context
  const { tokens, temperature, seed } = { ...GENERATION_DEFAULTS, ...options }
  const spec = checkedSpec(
    generateSpecSchema,
    {
      kind: 'generate',
      models: await Promise.all(models.map((model) => modelFolderOf(model, io.cwd))),
      prompt: await promptOf(options, io.cwd),
      tokens,
      temperature,
      topK: options.topK,
      topP: options.topP,
      seed,
      device: options.device ?? 'auto',
      memoryBytes: options.memory,
      deviceMemoryBytes: options.deviceMemory,
    },
    { models: 'MODEL', memoryBytes: '--memory', deviceMemoryBytes: '--device-memory' },
  )
  const end = await runJob(spec, context)
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  io.stdout.write(json ? toJson(result) : formatContinuations(end.result, spec, io.cwd))
  return EXIT_OK
}

/**
 * The line end that editors put behind the last line is not part of the prompt.
 *
 * @throws AppError `not_found`, `path_denied` or `bad_request`; UsageError unless there is exactly one prompt.
 */
async function promptOf({ prompt, promptFile }: TryOptions, cwd: string): Promise<string> {
  if ((prompt === undefined) === (promptFile === undefined)) {
    throw new UsageError('try: give either --prompt or --prompt-file')
  }
  if (promptFile === undefined) return prompt ?? ''
  const file = resolve(cwd, promptFile)
  const bytes = await boundedRead(file, MAX_PROMPT_BYTES, 'bad_request')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '')
  } catch (cause) {
    throw new AppError('bad_request', `${file} is not UTF-8 text.`, {
      hint: 'Save it as UTF-8.',
      context: { file, field: 'prompt' },
      cause,
    })
  }
}
