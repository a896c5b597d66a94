import { nameLayers } from '@shared/holdout'

/** What the Layers view says. */
export const LAYERS = {
  run: 'Run',
  weightType: 'Weight type',
  emptyTitle: 'No run to look at yet',
  emptyText:
    'When a run has finished, its layers are shown here: their spectra, where new layers lie between the old ones, and how far the prediction can be trusted.',
  toRun: 'Go to Run',
  loading: 'Reading the analysis…',
  none: 'This run has no analysis',
  noneText:
    'It was made before the program analysed runs, or was stopped before it could. Run it again to have one.',
  verdicts: { clear: 'The order shows', weak: 'Weak order', none: 'No order' },

  directions: 'The layers’ top directions',
  directionsTitle: (type: string) => `Top direction of ${type}, layer by layer`,
  directionsLabel: (type: string, method: string, count: number) =>
    `${count} layers of ${type} as points of a plane (${method}), joined in their order`,
  method: 'Projection',
  pca: 'PCA',
  tsne: 't-SNE',
  seed: 'Seed',
  perplexity: 't-SNE perplexity',
  nextSeed: 'Another seed',
  pc: (axis: number, share: string) => `PC ${axis} (${share})`,
  tsneAxis: (axis: number) => `t-SNE ${axis}`,
  projecting: 'Computing the picture…',
  noDirections:
    'No picture of directions: weights are decomposed only where predictors are trained on singular coordinates.',
  baseOnly:
    'Only the base layers: the new ones are noise as large as a prediction, not the prediction that the record holds.',
  columns: {
    layer: 'Layer',
    kind: 'Kind',
    index: 'Index',
    offMidpoint: 'Off the midpoint',
  },
  kinds: { base: 'base', predicted: 'predicted', copy: 'copy' },

  spectrum: 'Singular values',
  spectrumLabel: 'Singular values of each weight type’s concatenated layers, in descending order',
  sigma: 'Singular value',
  direction: 'Direction',
  energy: 'Cumulative energy',
  energyLabel: 'Share of the squared singular values that the first directions hold',
  share: 'Share',
  ninety: '90 %',

  norms: 'Norm by depth',
  normsLabel: 'Frobenius norm of each layer’s matrix, by depth; new layers are marked',
  norm: 'Frobenius norm',
  layer: 'Layer',
  cosines: 'Likeness of neighbours',
  cosinesLabel:
    'Cosine between each layer’s matrix and the next one’s, by depth; new layers are marked',
  cosine: 'Cosine',
  pair: 'Layer and the next',

  predictor: 'Predictor’s error, on its training samples',
  heldOut: (layers: readonly number[]) =>
    `Predictor’s error, on ${nameLayers(layers)} that it has not seen`,
  heldOutTitle: 'Predictor’s error, on layers that it has not seen',
  noPredictor: (method: string) =>
    `${method} predicts nothing, so there is no error of a prediction to show.`,
  onlySizes: (method: string) =>
    `${method} takes only the size of a prediction: the predictors’ errors say nothing about its layers, and are not shown.`,
  noHeldOut:
    'No layer was kept out of training, so nothing here says how an unseen layer would be predicted. Choose some under Parameters.',
  supports: 'Speaks for it',
  opposes: 'Speaks against it',
} as const
