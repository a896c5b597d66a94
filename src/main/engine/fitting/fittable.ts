import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { checkForwardPass } from '../decoder/ForwardPass'

/** What asks for a fit, and what is refused without one. */
const PURPOSES = {
  growth: {
    refused: (name: string) => `New layers of ${name} cannot be fitted to a text.`,
    why: 'A fit finds',
    instead: 'Choose another method.',
  },
  places: {
    refused: (name: string) => `Places in ${name} cannot be measured.`,
    why: 'They are measured by fits, which find',
    instead: 'Choose gaps yourself, or leave them to the method.',
  },
} as const

/**
 * Refuses models that are not run here; those whose output matrices have norms behind them: at zero such a norm divides
 * by almost nothing, and beyond it takes out the size of what a fit has found; and those with experts, each of which sees
 * other tokens.
 *
 * @throws AppError `unsupported_architecture`.
 */
export function requireFittable(
  checkpoint: Pick<Checkpoint, 'architecture' | 'config' | 'path'>,
  purpose: keyof typeof PURPOSES,
): void {
  checkForwardPass(checkpoint)
  const { architecture, config, path } = checkpoint
  const { hasPostNorms, architectureName, forward } = architecture
  const { refused, why, instead } = PURPOSES[purpose]
  const refuse = (reason: string, expected: string, actual: string): AppError =>
    new AppError('unsupported_architecture', refused(architectureName), {
      hint: `${why} ${reason}. ${instead}`,
      context: { file: path, field: 'architectures', expected, actual },
    })
  if (config.experts !== null) {
    throw refuse(
      'one output matrix from all tokens, and here each expert sees a few of them',
      'layers with one MLP each',
      `${config.experts.count} experts`,
    )
  }
  if (hasPostNorms) {
    throw refuse(
      'output matrices, and here norms behind them take out their size',
      'no norms behind o_proj and down_proj',
      [forward.afterAttention, forward.afterMlp].filter(Boolean).join(', '),
    )
  }
}
