/** @file What the spec of a training means for its models: which layers are trained, on what windows, for how long. */
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { PretrainSpec } from '@shared/jobs'
import { MAX_DEFAULT_CONTEXT } from '@shared/pretraining'
import { boundedRead } from '@system/boundedRead'
import { z } from 'zod'
import type { ModelConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { JsonProblem, parseLenientJson } from '../checkpoint/json'

const MAX_RECORD_BYTES = 64e6

const recordSchema = z.object({ new_layers: z.array(z.int().min(0)) })

/** Tokens of a window: what is asked for, or as many as every model has positions for, within reason. */
export function contextOf(
  { context }: Pick<PretrainSpec, 'context'>,
  configs: readonly ModelConfig[],
): number {
  const own = configs.map((config) => config.maxPositionEmbeddings ?? MAX_DEFAULT_CONTEXT)
  return context ?? Math.min(MAX_DEFAULT_CONTEXT, ...own)
}

/** Optimiser steps, one at least. @param windows Of the text, those that are trained on. */
export function stepsOf(
  { amount, batch }: Pick<PretrainSpec, 'amount' | 'batch'>,
  { context, windows }: { readonly context: number; readonly windows: number },
): number {
  if ('steps' in amount) return amount.steps
  const steps =
    'tokens' in amount ? amount.tokens / (batch * context) : (amount.epochs * windows) / batch
  return Math.max(1, Math.ceil(steps))
}

/**
 * The layers that are trained, from the lowest on, each once.
 *
 * @param hint What can be done where it is not known.
 * @throws AppError `bad_request` where `lesa.json` does not say which are new, or a layer is asked for that there is not.
 */
export async function trainedLayers(
  { path, config }: Pick<Checkpoint, 'path' | 'config'>,
  { train }: Pick<PretrainSpec, 'train'>,
  hint = HINT,
): Promise<number[]> {
  const layers = train === 'new' ? await newLayers(path, hint) : train
  const beyond = layers.find((layer) => layer >= config.numHiddenLayers)
  if (beyond !== undefined) {
    const file = train === 'new' ? join(path, RECORD) : path
    throw new AppError('bad_request', `${path} has no layer ${beyond} that could be trained.`, {
      hint,
      context: {
        file,
        field: train === 'new' ? 'new_layers' : 'train',
        expected: `layers from 0 to ${config.numHiddenLayers - 1}`,
        actual: String(beyond),
      },
    })
  }
  return [...new Set(layers)].sort((a, b) => a - b)
}

const RECORD = 'lesa.json'
const HINT = 'Name the layers that are to be trained: --train 12-17.'

async function newLayers(folder: string, hint: string): Promise<readonly number[]> {
  const file = join(folder, RECORD)
  const unknown = (
    what: string,
    context: { readonly expected?: string; readonly actual: string },
  ) =>
    new AppError('bad_request', `Which layers of ${folder} are new is not known: ${what}.`, {
      hint,
      context: { file, field: 'new_layers', ...context },
    })
  const bytes = await boundedRead(file, MAX_RECORD_BYTES, 'bad_request').catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    throw unknown(`it has no ${RECORD}`, { actual: 'no such file' })
  })
  const { value } = parsed(bytes, (reason) =>
    unknown(`${RECORD} is not JSON`, { expected: 'JSON', actual: reason }),
  )
  const found = recordSchema.safeParse(value)
  const expected = 'a list of layers, one at least'
  if (!found.success) {
    throw unknown(`${RECORD} names none`, { expected, actual: 'no such list' })
  }
  if (found.data.new_layers.length === 0) {
    throw unknown(`${RECORD} names none`, { expected, actual: 'an empty list' })
  }
  return found.data.new_layers
}

function parsed(
  bytes: Uint8Array,
  refuse: (reason: string) => AppError,
): ReturnType<typeof parseLenientJson> {
  try {
    return parseLenientJson(bytes)
  } catch (error) {
    if (error instanceof JsonProblem) throw refuse(error.message)
    throw error
  }
}

/** Tokens that an evaluation measures at the most of what was held back, and windows that it may be all the same. */
const MEASURED = { tokens: 65_536, windows: 32 } as const

/**
 * How many of the windows that were held back an evaluation measures, the first ones: of a long text a part says what all
 * would, and measuring all would take longer than the training.
 */
export function measuredWindows(held: number, context: number): number {
  return Math.min(held, Math.max(MEASURED.windows, Math.floor(MEASURED.tokens / context)))
}
