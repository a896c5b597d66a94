import { AppError } from '@shared/errors'
import type { JobRunner } from './runner'

export const run: JobRunner<'pretrain'> = async function* () {
  yield* []
  await Promise.resolve()
  throw new AppError('bug', 'Not built yet.')
}
