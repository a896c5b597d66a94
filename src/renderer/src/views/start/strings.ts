/** The Start view. */
export const START = {
  title: 'LESA Workbench',
  subtitle: 'Grow a trained language model in depth.',
  why: 'A deeper model that starts from what a smaller one has learned needs far less training than one from nothing. New layers are predicted or copied, measured, and written as a checkpoint to train on.',
  stepsTitle: 'How it goes',
  steps: [
    { title: 'Look at a model', text: 'Its layers, their sizes and how they are alike.' },
    { title: 'Plan where it grows', text: 'Choose a method and the gaps that get new layers.' },
    {
      title: 'Run',
      text: 'What it costs is told before; it can be stopped and goes on where it was.',
    },
    {
      title: 'Measure and compare',
      text: 'Held-out layers and perplexity beside the base model and simpler methods.',
    },
    { title: 'Export', text: 'A Hugging Face folder, checked, to load or to train on.' },
  ],
  cached: 'Models of the Hugging Face cache',
  openAnyway: 'Open anyway',
  openModel: 'Open model…',
  openModelHint: 'A Hugging Face checkpoint on this machine',
  newProject: 'New project…',
  newProjectHint: 'Plans, runs and results around one model',
  openProject: 'Open project…',
  openProjectHint: 'A folder with a project.json',
  demo: 'Try the demo',
  demoHint: (folder: string | null): string =>
    folder === null
      ? 'A 2.5 M parameter model and its text, complete'
      : `A 2.5 M parameter model and its text, as a project in ${folder}`,
  drop: 'You can also drop a model or project folder anywhere on this window.',
  dropBrowser:
    'Folders are chosen with the buttons above: a browser does not tell where a dropped folder lies.',
  recents: 'Recent',
  clear: 'Clear list',
  clearTitle: 'Clear the list of recents?',
  clearText: 'Nothing is deleted from the disk.',
  missing: 'Missing',
  kinds: { project: 'Project', model: 'Model' },
  layers: (count: number): string => (count === 1 ? '1 layer' : `${count} layers`),
  parameters: (count: string): string => `${count} parameters`,
  runs: (count: number): string =>
    count === 0 ? 'no run yet' : count === 1 ? '1 run' : `${count} runs`,
  menu: (name: string): string => `Actions for ${name}`,
  remove: 'Remove from the list',
  reveal: 'Show in file manager',
  newWith: 'New project with this model',
  missingTitle: (name: string): string => `“${name}” is not where it was`,
  missingText: 'The folder was moved, renamed or deleted, or its disk is not connected.',
  find: 'Find it…',
  whatToDo: 'What you can do',
} as const
