/** What all charts say. */
export const CHART_STRINGS = {
  showTable: 'Show as a table',
  showChart: 'Show as a chart',
  table: 'Table',
  chart: 'Chart',
  csv: 'CSV',
  csvLabel: (title: string) => `Save the numbers of “${title}” as CSV`,
  png: 'PNG',
  pngLabel: (title: string) => `Save “${title}” as a PNG picture`,
  tableLabel: (title: string) => `${title}, as a table`,
  keys: 'Left and right arrow keys read the values.',
  raceKeys:
    'Left and right arrow keys read the values; plus and minus zoom around the one that is read, 0 shows everything.',
  rowKeys: 'Up and down arrow keys go from row to row.',
  planeKeys:
    'Left and right arrow keys go from layer to layer; plus and minus zoom around the one that is read, 0 shows everything.',
  zoom: 'Drag to zoom in, double-click to see everything.',
  everything: 'See everything',
  all: 'All',
  none: 'None',
  series: 'Weight types shown',
  newLayer: 'new layer',
  baseLayer: 'base layer',
  predictedLayer: 'predicted layer',
  copiedLayer: 'copied layer',
} as const

/** What the pictures of a predictor's error say. */
export const YARDSTICKS = {
  predictor: 'Predictor',
  mean: 'Mean of the two neighbours',
  zero: 'predicting zero',
  axis: 'Mean squared error, over that of predicting zero (lower is better)',
  label: (title: string) =>
    `${title}: per weight type, the predictor’s error and that of the neighbours’ mean, over the error of predicting zero`,
  weightType: 'Weight type',
  mse: 'Error',
  mseOfZero: 'Error of zero',
  mseOfMean: 'Error of the mean',
  ratio: 'Error over zero’s',
  normRatio: 'Norm ratio',
  cosine: 'Cosine',
} as const
