/** @file Models that are grown and not run: their layers have more than the forward pass here computes. */
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { Architecture } from './Architecture'

interface Model {
  readonly architecture: Architecture
  /** The checkpoint's folder. */
  readonly path: string
}

/**
 * Refuses, before any work, what needs to know all that a layer computes.
 *
 * @param subject What would be done: `Layers of Qwen3_5ForCausalLM cannot be matched`.
 * @throws AppError `unsupported_architecture` naming what the layers have.
 */
export function requireAllComputed(
  { architecture, path }: Model,
  subject = `${architecture.architectureName} cannot be run here`,
): void {
  const { missing } = architecture.forward
  if (missing === undefined) return
  throw new AppError(
    'unsupported_architecture',
    `${subject}: its layers have ${missing}, which is not computed.`,
    {
      hint: 'It can still be inspected, grown by methods that copy or predict layers, and exported; transformers runs, measures and trains the grown model.',
      context: {
        file: join(path, 'config.json'),
        field: 'model_type',
        expected: 'layers that are computed whole',
        actual: architecture.modelType,
      },
    },
  )
}
