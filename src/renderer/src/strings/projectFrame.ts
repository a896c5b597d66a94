/** What is said about a project as a whole, above its views. */
export const PROJECT_FRAME = {
  loading: 'Opening the project…',
  notOpen: 'This project is not open',
  notOpenText: 'The program was started anew. Open it again from its folder.',
  toStart: 'To the start',
  missingTitle: 'The model has moved',
  missing: (path: string): string =>
    path === ''
      ? 'The project does not tell any more where it is.'
      : `Nothing is at ${path} any more.`,
  changedTitle: 'Another model is where this project’s model was',
  changed: (path: string): string =>
    `The checkpoint at ${path} is not the one this project was made with: its runs cannot be compared with new ones.`,
  brokenTitle: 'The model cannot be read',
  relocate: 'Find the model…',
  chooseModel: 'Find the project’s model',
  accept: 'Use it all the same',
  differentTitle: 'This is another model',
  differentText: 'It differs from the model that the project was made with:',
  differentOk:
    'Its architecture, depth and shapes are the same, so the plan still fits. Runs made so far stay marked as made from another model.',
  differentBad: 'It does not fit this project. Make a new project for it.',
  useAnyway: 'Use this model',
  problemsTitle: (count: number): string =>
    count === 1
      ? 'A file of the project could not be read'
      : `${count} files of the project could not be read`,
  setAside: (name: string): string => `Kept as ${name}.`,
  relocated: 'The model is found',
} as const
