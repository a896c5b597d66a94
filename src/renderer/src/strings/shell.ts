/** What the frame around the views says. */
export const SHELL = {
  product: 'LESA Workbench',
  views: 'Views',
  start: 'Start',
  settings: 'Settings',
  needsProject: 'Open a project first',
  keys: 'Keyboard shortcuts',
  noConnection: 'No connection to the program; trying again…',
  refused:
    'The program was started again, and this page’s key is no longer valid. Open the address that “lesa serve” printed.',
  trying: 'Trying the devices…',
  noDevices: 'Devices could not be tried',
  idle: 'No job is running',
  waiting: (count: number): string => (count === 1 ? '1 waits' : `${count} wait`),
  version: (version: string): string => `Version ${version}`,
  drop: 'Drop to open this model or project',
  dropHint: 'A folder that holds a Hugging Face checkpoint or a project',
  dropUnknown: 'A browser does not tell where a dropped folder lies',
  dropUnknownText: 'Choose the folder instead.',
  notOpenableText: (path: string): string =>
    `${path} holds neither a Hugging Face checkpoint (config.json and model.safetensors) nor a project.`,
  closeProject: 'Close project',
  renameProject: 'Rename…',
  duplicateProject: 'Duplicate…',
  revealProject: 'Show in file manager',
  deleteProject: 'Delete…',
  clearWork: (size: string): string => `Delete kept stages (${size})…`,
  projectMenu: 'Project actions',
  layers: (count: number): string => `${count} layers`,
  parameters: (count: string): string => `${count} parameters`,
  memory: (limit: string): string => `Memory limit ${limit}`,
  noLimit: 'No memory limit',
} as const

export const PICKER = {
  parent: 'Parent folder',
  path: 'Folder',
  folders: 'Folders and files',
  empty: 'No folders in here.',
  emptyText: 'No folders or text files in here.',
  model: 'model',
  project: 'project',
  chooseThis: 'Choose this folder',
  cached: 'Models of the Hugging Face cache',
  holds: {
    project: (path: string): string => `${path} holds a project, not a model.`,
    model: (path: string): string => `${path} holds a model, not a project.`,
    other: null,
  },
  holdsNothing: {
    model: (path: string): string =>
      `${path} holds no Hugging Face checkpoint (config.json and model.safetensors).`,
    project: (path: string): string => `${path} holds no project (project.json).`,
  },
  go: 'Go',
} as const

export const NEW_PROJECT = {
  title: 'New project',
  name: 'Name',
  nameHint: 'Also the name of the project’s folder.',
  folderHint: (folder: string): string => `Its folder will be called “${folder}”.`,
  model: 'Model',
  modelHint: 'The Hugging Face checkpoint to grow. It is read, never changed.',
  parent: 'Create in',
  create: 'Create project',
  chooseModel: 'Choose a model',
  chooseParent: 'Choose where the project’s folder is made',
  missingName: 'Give the project a name.',
  missingModel: 'Choose a model.',
} as const
