import type { ExpansionPlan } from '../plan'
import {
  PREDICTOR_FIELDS,
  PREDICTOR_KEYS,
  predictorRows,
  type SettingRow,
} from '../predictorSettings'
import { formatGaps } from './gaps'
import { ALL_OPTIONS, methodNamed, type MethodSpec } from './index'
import { usedOptions, type Option, type ValueOf } from './options'

/** The settings that some method has, each once, in the order in which they are shown. */
export const SETTING_LABELS: readonly { readonly key: string; readonly label: string }[] = [
  ...new Map(
    ALL_OPTIONS.flatMap(([key, option]): readonly { key: string; label: string }[] =>
      option.kind === 'predictor'
        ? PREDICTOR_KEYS.map((name) => PREDICTOR_FIELDS[name].row)
        : [{ key, label: option.label }],
    ).map((row) => [row.key, row]),
  ).values(),
]

type Chosen = {
  [Kind in Option['kind']]: {
    readonly kind: Kind
    readonly key: string
    readonly option: Extract<Option, { kind: Kind }>
    /** Absent for what is optional and has no default. */
    readonly value: ValueOf<Extract<Option, { kind: Kind }>> | undefined
  }
}[Option['kind']]

/** A method's parameters as people read them, those that were left to the program with the values they took. */
export function methodRows(
  spec: MethodSpec,
  { resolved }: Pick<ExpansionPlan, 'resolved'>,
): SettingRow[] {
  const values: Readonly<Record<string, unknown>> = { ...spec, ...resolved }
  return usedOptions(methodNamed(spec.name).options, values).flatMap(([key, option]) =>
    // The schema is made of the option: the value is of its kind.
    rowsOf({ kind: option.kind, key, option, value: values[key] } as Chosen),
  )
}

function rowsOf(chosen: Chosen): SettingRow[] {
  const { key } = chosen
  if (chosen.kind === 'predictor') return chosen.value ? predictorRows(chosen.value) : []
  const { label } = chosen.option
  const row = (value: string, card = value, name = key): SettingRow[] => [
    { key, label, value, card: [name, card] },
  ]
  switch (chosen.kind) {
    case 'gaps':
      return row(formatGaps(chosen.value ?? []))
    case 'range':
      return row(chosen.value?.join('–') ?? '', chosen.value?.join(', '))
    case 'count':
    case 'whole':
    case 'share':
      return row(String(chosen.value))
    case 'switch': {
      const { name, on, off } = chosen.option.card
      return row(chosen.value ? 'yes' : 'no', chosen.value ? on : off, name)
    }
    case 'flag':
      return row(chosen.value === true ? 'yes' : 'no', undefined, chosen.option.card)
    case 'pattern':
      return chosen.value === true ? row('yes', undefined, chosen.option.card) : []
    case 'layers': {
      const { value } = chosen
      if (value === undefined) return row('none')
      return row(value.join(', '), `${value.length === 1 ? 'layer' : 'layers'} ${value.join(', ')}`)
    }
  }
}
