import { badOption } from './gaps'
import {
  gaps,
  type LayerOption,
  type PredictorOption,
  type ShareOption,
  type SwitchOption,
} from './options'

/** Only a layer with two neighbours can be predicted from them, so a gap needs a layer on either side. */
export const MIN_LAYERS = 3

const useSvd: SwitchOption = {
  kind: 'switch',
  place: 3,
  label: 'SVD',
  help: "predict the weights' own rows (the paper's ablation)",
  card: { name: 'decomposition', on: 'SVD', off: 'none (rows of the weights)' },
}

const energy: ShareOption = {
  kind: 'share',
  place: 2,
  label: 'Energy kept',
  help: 'keep the leading directions with this share of Σσ² (default: 1, all)',
}

const predictor: PredictorOption = { kind: 'predictor', place: 1 }

const holdout: LayerOption = {
  kind: 'layer',
  place: 4,
  label: 'Held-out layer',
  help: 'keep a layer out of training and report how well it is predicted (default: the middle one)',
  /** Another inner layer must be left to learn from. */
  check: (key, layer, layers) => {
    if (layers < 4) throw badOption('model', 'at least 4 layers to hold one out', `${layers}`)
    if (layer < 1 || layer > layers - 2) {
      throw badOption(key, `an inner layer, 1-${layers - 2}`, String(layer))
    }
  },
}

/** Options of the methods that train predictors. */
export const learnedOptions = {
  gaps: gaps({ afterLast: false }),
  useSvd,
  energy,
  predictor,
  holdout,
}
