import { METHOD_NAMES } from '@shared/methods'
import type { RunSummary } from '@shared/projects'

/** A run in a list to choose from: its method is left out where its name tells it. */
export function describeRun({ name, method, layersBefore, layersAfter }: RunSummary): string {
  const parts = name.includes(METHOD_NAMES[method]) ? [name] : [name, METHOD_NAMES[method]]
  return [...parts, `${layersBefore} → ${layersAfter}`].join(' · ')
}
