import { basename } from 'node:path'
import type { ExportSpec } from '@shared/jobs'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { OutputTensor } from '../checkpoint/CheckpointWriter'
import { ENGINE_VERSION } from '../lib/version'
import { assemble } from '../growth/grownTensors'
import { setDtype } from '../growth/grownConfig'
import type { ExportRecord } from '../growth/record'

/** What an export writes, before it does. */
export interface ExportPlan {
  readonly tensors: readonly OutputTensor[]
  readonly config: Readonly<Record<string, unknown>>
  readonly record: ExportRecord
  /** How the grown model came from its base. */
  readonly growth: ExpansionPlan
}

/** Plans the copy of a grown checkpoint, its tensors in the wanted element type and its record up to date. */
export function planExport(grown: Checkpoint, spec: ExportSpec): ExportPlan {
  const { spec: made, result } = spec.grown
  const layersBefore = result.num_hidden_layers - result.new_layers.length
  const growth = planExpansion(made.method, layersBefore)
  const tensors = assemble({
    checkpoint: grown,
    plan: unchanged(growth),
    rest: made.rest,
    dtype: spec.dtype,
    predictedFile: () => '',
    dropped: new Set(),
  })
  const config: Record<string, unknown> = { ...grown.rawConfig }
  setDtype(config, spec.dtype)
  return {
    tensors,
    config,
    growth,
    record: {
      spec: {
        ...made,
        model: spec.base,
        dtype: spec.dtype === 'keep' ? made.dtype : spec.dtype,
        maxShardBytes: spec.maxShardBytes,
      },
      plan: growth,
      architecture: grown.config.architectureName,
      layersBefore,
      parameters: tensors.reduce(
        (sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1),
        0,
      ),
      dtypes: [...new Set(tensors.map(({ dtype }) => dtype))],
      engineVersion: ENGINE_VERSION,
      device: result.device,
      predictors: result.predictors,
      perplexities: spec.perplexities.map((measured) => ({
        ...measured,
        model: basename(measured.model),
      })),
      warnings: result.warnings,
    },
  }
}

/** The grown model as it is: every layer where it lies. */
function unchanged(growth: ExpansionPlan): ExpansionPlan {
  return {
    ...growth,
    layers: growth.layers.map((_, source) => ({ kind: 'original', source })),
    newLayers: [],
  }
}
