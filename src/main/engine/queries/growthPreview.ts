import type { GrowthPreview } from '@shared/model'
import type { RunSettings } from '@shared/projects'
import { planGrowth } from '../growth/planGrowth'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { stringifyPython } from '../checkpoint/json'
import { planWarnings } from '../growth/layerTypes'
import { layOut } from '../growth/grownLayout'
import { tiedHead } from '../growth/grownTensors'
import { grownConfig } from '../growth/grownConfig'

/**
 * What growing makes of a model, without computing anything.
 *
 * @throws AppError what opening the checkpoint throws, `bad_request` for a plan that does not fit, or
 *   `unsupported_architecture` for a method that does not suit the model.
 */
export async function previewGrowth(folder: string, settings: RunSettings): Promise<GrowthPreview> {
  const checkpoint = await Checkpoint.open(folder)
  try {
    const plan = planGrowth(settings.method, checkpoint)
    const head = await tiedHead(checkpoint)
    const layout = layOut(checkpoint, {
      layers: plan.layers,
      rest: settings.rest,
      dtype: settings.dtype,
      dropsHead: head === 'repeats_embeddings',
    })
    const { parameters, bytes } = checkpoint.summarize()
    const config = grownConfig(checkpoint, plan, {
      dtype: settings.dtype,
      untie: head === 'differs',
    })
    return {
      layersBefore: checkpoint.config.numHiddenLayers,
      layersAfter: plan.layers.length,
      parametersBefore: parameters,
      parametersAfter: layout.parameters,
      bytesBefore: bytes,
      bytesAfter: layout.bytes,
      configChanges: changes(checkpoint.rawConfig, config),
      warnings: planWarnings(plan, checkpoint),
    }
  } finally {
    await checkpoint.close()
  }
}

function changes(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): GrowthPreview['configChanges'] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  const json = (value: unknown): string | null =>
    value === undefined ? null : stringifyPython(value)
  return [...keys]
    .map((key) => ({ key, before: json(before[key]), after: json(after[key]) }))
    .filter((change) => change.before !== change.after)
}
