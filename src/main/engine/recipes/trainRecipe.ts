/** @file `train.py`, which trains the new layers of a grown model with PyTorch, and what it is told of the model. */
import { MAX_DEFAULT_CONTEXT, PRETRAIN_DEFAULTS } from '@shared/pretraining'
import trainScript from '../../../../resources/recipes/train.py?raw'
import { ENGINE_VERSION, PROJECT } from '../lib/version'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** Version of `recipe.json`'s layout. */
const RECIPE_SCHEMA_VERSION = 1

/** The script is the same for every model; all that is the model's own stands in `recipe.json`. */
export function trainRecipe(subject: RecipeSubject): RecipeFiles {
  return {
    'recipes/train.py': trainScript,
    'recipes/recipe.json': `${JSON.stringify(manifestOf(subject), null, 2)}\n`,
  }
}

function manifestOf(subject: RecipeSubject): object {
  const usual = PRETRAIN_DEFAULTS
  const { layersBefore, layers, newLayers, maxPositionEmbeddings } = subject
  return {
    schema_version: RECIPE_SCHEMA_VERSION,
    generator: { name: PROJECT, version: ENGINE_VERSION },
    base_model: subject.baseModel,
    method: subject.method,
    architecture: subject.architectureName,
    layer_prefix: subject.layerPrefix,
    ...(subject.storedNames === null
      ? {}
      : { model_class: 'AutoModelForImageTextToText', stored_names: subject.storedNames }),
    num_hidden_layers: { before: layersBefore, after: layers.length },
    new_layers: newLayers,
    parameters: subject.parameters,
    trained_parameters: subject.trainedParameters,
    starts_from_zero: subject.startsFromZero,
    dtype: subject.dtype,
    defaults: {
      context: Math.min(maxPositionEmbeddings ?? MAX_DEFAULT_CONTEXT, MAX_DEFAULT_CONTEXT),
      batch: usual.batch,
      steps: usual.steps,
      lr: usual.learningRate,
      output_lr_factor: usual.outputRateFactor,
      schedule: usual.schedule,
      weight_decay: usual.weightDecay,
      beta1: usual.beta1,
      beta2: usual.beta2,
      epsilon: usual.epsilon,
      clip: usual.clip,
      eval_share: usual.evalShare,
      text_field: usual.textField,
      seed: usual.seed,
    },
    trained: subject.trained,
  }
}
