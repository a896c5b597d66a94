import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { checkForwardPass } from '../decoder/ForwardPass'

/**
 * Refuses models that are not run here, those whose output matrices have norms behind them: at zero such a norm divides by almost nothing, and beyond it
 * takes out the size of what a fit has found. And those with experts, each of which sees other tokens.
 *
 * @throws AppError `unsupported_architecture`.
 */
export function requireFittable(
  checkpoint: Pick<Checkpoint, 'architecture' | 'config' | 'path'>,
): void {
  checkForwardPass(checkpoint)
  const { architecture, config, path } = checkpoint
  const { hasPostNorms, architectureName, forward } = architecture
  if (config.experts !== null) {
    throw new AppError(
      'unsupported_architecture',
      `New layers of ${architectureName} cannot be fitted to a text.`,
      {
        hint: 'A fit finds one output matrix from all tokens, and here each expert sees a few of them. Choose another method.',
        context: {
          file: path,
          field: 'architectures',
          expected: 'layers with one MLP each',
          actual: `${config.experts.count} experts`,
        },
      },
    )
  }
  if (!hasPostNorms) return
  throw new AppError(
    'unsupported_architecture',
    `New layers of ${architectureName} cannot be fitted to a text.`,
    {
      hint: 'A fit finds output matrices, and here norms behind them take out their size. Choose another method.',
      context: {
        file: path,
        field: 'architectures',
        expected: 'no norms behind o_proj and down_proj',
        actual: [forward.afterAttention, forward.afterMlp].filter(Boolean).join(', '),
      },
    },
  )
}
