/** The Start view. */
export const START = {
  title: 'LESA Workbench',
  subtitle:
    'Grow a trained language model in depth: see its layers, insert new ones, compare, export.',
  openModel: 'Open model…',
  openModelHint: 'A Hugging Face checkpoint on this machine',
  newProject: 'New project…',
  newProjectHint: 'Plans, runs and results around one model',
  openProject: 'Open project…',
  openProjectHint: 'A folder with a project.json',
  demo: 'Try the demo',
  demoHint: 'A 2.5 M parameter model and its text, complete',
  drop: 'You can also drop a model or project folder anywhere on this window.',
  dropBrowser:
    'Folders are chosen with the buttons above: a browser does not tell where a dropped folder lies.',
  recents: 'Recent',
  clear: 'Clear list',
  clearTitle: 'Clear the list of recents?',
  clearText: 'Nothing is deleted from the disk.',
  emptyTitle: 'Nothing opened yet',
  emptyText:
    'Models and projects that you open are listed here. The demo needs nothing but a click.',
  missing: 'Missing',
  kinds: { project: 'Project', model: 'Model' },
  menu: (name: string): string => `Actions for ${name}`,
  remove: 'Remove from the list',
  reveal: 'Show in file manager',
  newWith: 'New project with this model',
  missingTitle: (name: string): string => `“${name}” is not where it was`,
  missingText: 'The folder was moved, renamed or deleted, or its disk is not connected.',
  find: 'Find it…',
  whatToDo: 'What you can do',
} as const
