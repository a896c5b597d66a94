/** @file Under which of the names that a model's tensors may have they are stored. */
import { tensorOrderOf } from '../architectures'
import {
  withNames,
  type Architecture,
  type TensorNames,
  type TensorOrder,
} from '../architectures/Architecture'
import type { RawConfig } from '../architectures/config'

/** What programs put before every name when they save a module inside another: DataParallel, torch.compile. */
const OUTER_MODULES = ['module.', '_orig_mod.']

/** That prefix, empty where there is none. */
export function savedInside(names: readonly string[]): string {
  let outer = ''
  for (;;) {
    const next = OUTER_MODULES.find((each) => names.every((name) => name.startsWith(outer + each)))
    if (next === undefined || names.length === 0) return outer
    outer += next
  }
}

/** The architecture with the names that the files have for its decoder. */
export function asStored(architecture: Architecture, names: readonly string[]): Architecture {
  const layout = layoutOf(architecture, names)
  return layout ? withNames(architecture, layout) : architecture
}

/** The order of tensors that are stored under these names. */
export function orderOf(rawConfig: RawConfig, names: readonly string[]): TensorOrder {
  const order = tensorOrderOf(rawConfig)
  return { ...order, ...layoutOf(order, names) }
}

function layoutOf(
  { wrapping }: Pick<Architecture, 'wrapping'>,
  names: readonly string[],
): TensorNames | undefined {
  const outer = savedInside(names)
  return wrapping?.layouts.find(({ layerPrefix }) =>
    names.some((name) => name.startsWith(`${outer}${layerPrefix}0.`)),
  )
}
