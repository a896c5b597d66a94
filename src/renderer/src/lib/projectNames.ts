import { fileNameOf, modelNameOf } from '@shared/hub'

/** What a project around a model is called until somebody says otherwise: the model's name, as far as it fits. */
export function suggestName(model: string): string {
  return `${fileNameOf(modelNameOf(model.trim())).slice(0, 90)} grown`
}
