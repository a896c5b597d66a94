import type { PlannedLayer } from '@shared/plan'

/** `7` for base layer 7, `7½` for a computed one between 7 and 8, `7+` for a copy of 7. */
export function layerLabel(layer: PlannedLayer): string {
  switch (layer.kind) {
    case 'original':
      return String(layer.source)
    case 'computed':
      return `${layer.gap}½`
    case 'copy':
    case 'identity':
      return `${layer.source}+`
  }
}
