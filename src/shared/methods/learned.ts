import { canHoldOut, innerLayers } from '../holdout'
import { badOption, formatGaps } from './gaps'
import {
  gaps,
  keepPattern,
  type LayersOption,
  type PredictorOption,
  type ShareOption,
  type SwitchOption,
} from './options'

/** Only a layer with two neighbours can be predicted from them, so a gap needs a layer on either side. */
export const MIN_LAYERS = 3

/** A sample has three layers, and none of them may be the one that is held out or beside it. */
const MIN_HELD_OUT = 5

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

const holdout: LayersOption = {
  kind: 'layers',
  place: 4,
  label: 'Held-out layers',
  help: 'layers to predict, as a test, by predictors that have not seen them: 3,6,9, some or none (default: as many of some as one training keeps out; noise: none; without a value: the middle one)',
  /** Others must be left to learn from that are not their neighbours. */
  check: (key, chosen, layers) => {
    if (layers < MIN_HELD_OUT) {
      throw badOption('model', `at least ${MIN_HELD_OUT} layers to hold one out`, `${layers}`)
    }
    const twice = chosen.find((layer, index) => chosen.indexOf(layer) !== index)
    if (twice !== undefined) throw badOption(key, 'each layer once', `${twice} twice`)
    const wrong = chosen.find((layer) => !canHoldOut(layer, layers))
    if (wrong !== undefined) {
      const all = innerLayers(layers).filter((layer) => canHoldOut(layer, layers))
      throw badOption(key, `inner layers, ${formatGaps(all)}`, String(wrong))
    }
  },
}

/** Options of the methods that train predictors. */
export const learnedOptions = {
  gaps: gaps({ afterLast: false }),
  keepPattern,
  useSvd,
  energy,
  predictor,
  holdout,
}
