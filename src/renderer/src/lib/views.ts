import type { CommandId } from '@shared/commands'
import type { IconName } from '../components/ui/icons'
import type { ProjectViewName } from '../router'

/** How each view of a project is named and drawn in the rail. */
export const VIEW_LOOKS: Readonly<
  Record<
    ProjectViewName,
    { readonly label: string; readonly icon: IconName; readonly command: CommandId }
  >
> = {
  model: { label: 'Model', icon: 'model', command: 'go:model' },
  plan: { label: 'Plan', icon: 'plan', command: 'go:plan' },
  parameters: { label: 'Parameters', icon: 'parameters', command: 'go:parameters' },
  run: { label: 'Run', icon: 'play', command: 'go:run' },
  layers: { label: 'Layers', icon: 'layers', command: 'go:layers' },
  compare: { label: 'Compare', icon: 'compare', command: 'go:compare' },
  export: { label: 'Export', icon: 'export', command: 'go:export' },
}
