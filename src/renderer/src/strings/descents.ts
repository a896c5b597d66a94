/** What is said of checkpoints that were trained elsewhere. */
export const DESCENT = {
  add: 'Add a trained checkpoint…',
  addTitle: 'A grown model that was trained with another program, to stand here beside its start',
  chooseTitle: 'Choose the folder that the training wrote',
  title: 'Add a trained checkpoint',
  note: 'The folder is read where it lies and never changed: no copy is made. Its weights are compared with those of the run that its training began from.',
  folder: 'Folder',
  start: 'Its training began from',
  startHint: 'The runs of this project that have as many layers.',
  choose: 'Choose a run…',
  none: (layers: number) =>
    `It has ${layers} layers, and no grown model of this project has as many. Open the project that it was grown in, or compare it on the command line: lesa compare.`,
  looking: 'Looking which run it came from…',
  compare: 'Compare and add',
  comparing: 'Comparing the weights',
  cancel: 'Cancel',
  cancelling: 'Cancelling…',
  cancelled: 'The comparison was cancelled. Nothing was added.',
  added: (name: string) => `Added as “${name}”`,
  touched: 'An original weight was changed',
  touchedText:
    'Only the new layers should have moved: the base model’s abilities are in the others. A trainer that freezes by number or by pattern may have missed some.',
  show: 'Show what changed',

  from: 'Trained elsewhere, from',
  changedState: 'Its folder holds other weights than it did',
  changedText:
    'The training went on, or another checkpoint was written there. What stands here is of the weights as they were: remove this run and add the folder again.',
  missingState: 'Its folder is not where it was',
  missingText: 'What was measured stays. Put the folder back to measure and to continue texts.',

  panel: 'What the training changed',
  chart: 'Change by layer',
  chartLabel: (count: number) =>
    `How far each of ${count} layers moved, as a share of its norm at the start`,
  layer: 'Layer',
  axis: 'Of the layer’s norm',
  moved: 'moved by',
  largest: 'largest change',
  unmoved: 'as it was',
  newLayer: 'new layer',
  touchedLayer: 'original layer that was changed',
  caption:
    'The length of the difference between trained and start, over the length of the start. Originals that are as they were have no bar.',
  columns: {
    layer: 'Layer',
    kind: 'Kind',
    change: '‖Δ‖',
    relative: 'Of the norm (%)',
    max: 'Largest |Δ|',
    ofPart: (part: string) => `${part} (%)`,
  },
  kinds: { new: 'new', original: 'original' },
  outside: 'Outside the layers',
  remove: 'Remove from the project…',
  removeTitle: 'Remove the run from the project?',
  removeText: (name: string, path: string) =>
    `“${name}” is removed, with what was measured of it. The folder ${path} stays as it is.`,
  removeIt: (name: string) => `Remove “${name}”`,
  removed: (name: string) => `“${name}” is removed from the project`,
} as const
