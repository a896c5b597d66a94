import type { ModelSummary } from '@shared/model'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { refusedMethods } from '../growth/suited'

/**
 * What a checkpoint is, and by which methods it cannot be grown. Weights are not looked at.
 *
 * @throws AppError as {@link Checkpoint.inspect}.
 */
export function inspectModel(path: string): Promise<ModelSummary> {
  return Checkpoint.inspect(path, (checkpoint) => {
    const refused = refusedMethods(checkpoint)
    return Object.keys(refused).length > 0 ? { refused_methods: refused } : {}
  })
}
