import { dirname } from 'node:path'
import { parseAnalysis } from '@shared/analysis'
import { AppError } from '@shared/errors'
import { boundedRead } from '@system/boundedRead'
import { writeRecord } from '@system/files'
import { ANALYSIS_STEP, measureTypes, recordFiles } from '../analysis/analyse'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/** Longer than any: some hundred curves and some thousand numbers for each weight type. */
const MAX_ANALYSIS_BYTES = 256e6

/** Renews what the pictures show of a model's layers; spectra and labels stay as they were. */
export const run: JobRunner<'analyse'> = async function* (spec, { signal, recordDir }) {
  const started = performance.now()
  const bytes = await boundedRead(spec.before, MAX_ANALYSIS_BYTES, 'damaged_file')
  const before = parseAnalysis(new TextDecoder().decode(bytes))
  if (!before) {
    throw new AppError('damaged_file', `${spec.before} is no analysis of a model.`, {
      context: { file: spec.before },
    })
  }
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    const { numHiddenLayers: layers } = checkpoint.config
    if (layers !== before.layers.length) {
      throw new AppError('shape_mismatch', 'The model and its analysis have different depths.', {
        context: {
          file: spec.before,
          expected: `${layers} layers`,
          actual: `${before.layers.length} layers`,
        },
      })
    }
    yield { type: 'plan', steps: [{ ...ANALYSIS_STEP, weight: 1 }] }
    yield* remarksOf(checkpoint)
    const measured = yield* measureTypes(checkpoint, layers, signal)
    const types = Object.entries(before.types).map(([type, known]) => [
      type,
      { ...known, ...measured.get(type) },
    ])
    await writeRecord(recordFiles.analysis(recordDir ?? dirname(spec.before)), {
      ...before,
      types: Object.fromEntries(types) as typeof before.types,
    })
    return { kind: 'analyse', seconds: (performance.now() - started) / 1000 }
  } finally {
    await checkpoint.close()
  }
}
