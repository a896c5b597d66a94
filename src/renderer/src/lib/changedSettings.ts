import { defaultHoldout } from '@shared/holdout'
import { modelNameOf } from '@shared/hub'
import { ALL_OPTIONS, isLearned, methodNamed } from '@shared/methods'
import { parseGaps } from '@shared/methods/gaps'
import type { LayerTypes } from '@shared/methods/layers'
import type { Option } from '@shared/methods/options'
import { methodRows } from '@shared/methods/rows'
import { planExpansion } from '@shared/plan'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectDraft } from '@shared/projects'
import { deviceName } from '../strings/devices'
import { describeLayers } from './gaps'

/** A setting that is not as it would be without anybody's doing. */
export interface ChangedSetting {
  readonly key: string
  readonly label: string
  readonly value: string
  readonly usual: string
}

interface Row {
  readonly key: string
  readonly label: string
  readonly value: string
}

/**
 * Everything about a run that differs from the defaults of its method and its preset: whatever settings there are, each
 * is compared.
 *
 * @param layers Of the base model; the plan must fit them.
 * @param types Of these; nothing where all are alike.
 */
export function changedSettings(
  draft: ProjectDraft,
  layers: number,
  types?: LayerTypes,
): ChangedSetting[] {
  const { method, preset } = draft
  const usual = {
    ...DEFAULT_DRAFT,
    method,
    preset,
    predictor: PRESET_SETTINGS[preset],
    holdout: defaultHoldout(layers),
  }
  const before = new Map(rowsOf(usual, layers, types).map((row) => [row.key, row.value]))
  return rowsOf(draft, layers, types).flatMap((row) => {
    const value = before.get(row.key) ?? (optionOf(row.key)?.kind === 'pattern' ? 'no' : '–')
    return value === row.value ? [] : [{ ...row, usual: value }]
  })
}

const optionOf = (key: string): Option | undefined =>
  ALL_OPTIONS.find(([known]) => known === key)?.[1]

/** A long list of gaps is told in a few words. */
function inWords({ key, label, value }: Row): Row {
  const isList = optionOf(key)?.kind === 'gaps'
  return { key, label, value: isList ? describeLayers(parseGaps(value)) : value }
}

function rowsOf(draft: ProjectDraft, layers: number, types?: LayerTypes): Row[] {
  const { method, also, rest, damp, align, device, seed } = runSettingsOf(draft)
  return [
    ...methodRows(method, planExpansion(method, layers, types)).map(inWords),
    ...(also === undefined
      ? []
      : [{ key: 'also', label: 'Further checkpoints', value: also.map(modelNameOf).join(', ') }]),
    // Copies bring their norms and biases along.
    ...(methodNamed(method.name).fill === undefined
      ? []
      : [{ key: 'rest', label: 'Norms and biases', value: rest }]),
    ...(damp === undefined ? [] : [{ key: 'damp', label: 'Damping', value: String(damp) }]),
    ...(align === true ? [{ key: 'align', label: 'Layers aligned', value: 'yes' }] : []),
    ...(isLearned(method)
      ? [
          { key: 'device', label: 'Device', value: deviceName(device) },
          { key: 'seed', label: 'Seed', value: String(seed) },
        ]
      : []),
  ]
}
