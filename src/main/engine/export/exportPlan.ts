import type { ExportSpec } from '@shared/jobs'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { findSidecars, type Sidecars } from '../checkpoint/sidecars'
import { ENGINE_VERSION } from '../lib/version'
import { layOut, type GrownLayout } from '../growth/grownLayout'
import { readBaseFacts } from '../growth/baseFacts'
import { pipelineTagOf } from '../growth/frontMatter'
import { setDtype } from '../growth/grownConfig'
import { readLesaFile } from '../growth/lesaFile'
import type { GrowthRecord } from '../growth/lesaJson'

/** What an export writes, before it does. */
export interface ExportPlan {
  readonly layout: GrownLayout
  readonly config: Readonly<Record<string, unknown>>
  readonly record: GrowthRecord
  /** How the grown model came from its base. */
  readonly growth: ExpansionPlan
}

/** Plans the copy of a grown checkpoint, its tensors in the wanted element type and its record up to date. */
export async function planExport(grown: Checkpoint, spec: ExportSpec): Promise<ExportPlan> {
  const { spec: made, result } = spec.grown
  const layersBefore = result.num_hidden_layers - result.new_layers.length
  const types = layerTypesOf(grown.config).filter((_, layer) => !result.new_layers.includes(layer))
  const growth = planExpansion(made.method, layersBefore, types)
  // The grown model as it is: every layer where it lies.
  const layout = layOut(grown, {
    layers: growth.layers.map((_, source) => ({ kind: 'original', source, label: String(source) })),
    rest: made.rest,
    dtype: spec.dtype,
  })
  const config: Record<string, unknown> = { ...grown.rawConfig }
  setDtype(config, spec.dtype, grown.architecture.configRules.path)
  return {
    layout,
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
      pipeline: pipelineTagOf(grown.architecture),
      layersBefore,
      parameters: layout.parameters,
      dtypes: layout.dtypes,
      engineVersion: ENGINE_VERSION,
      device: result.device,
      predictors: result.predictors,
      fit: result.fit,
      damping: result.damping,
      perplexities: spec.perplexities,
      base: await readBaseFacts(spec.base, grown.rawConfig, grown.path),
      card: spec.card,
      warnings: result.warnings,
      trainings: (await readLesaFile(grown.path))?.trainings ?? [],
    },
  }
}

/** The trained predictors lie there in a grown checkpoint. */
export const PREDICTORS = 'lesa'

/** What comes along beside the predictors, which the export copies by itself. */
export async function exportSidecars({ path }: Checkpoint): Promise<Sidecars> {
  const { files, leftOut } = await findSidecars(path)
  return { files, leftOut: leftOut.filter((each) => each.path !== PREDICTORS) }
}
