/** Renaming, duplicating and deleting a project. */
export const PROJECT_DIALOGS = {
  titles: {
    rename: 'Rename the project',
    duplicate: 'Duplicate the project',
    delete: 'Delete the project?',
    clearWork: 'Delete the kept stages?',
  },
  actions: {
    rename: 'Rename',
    duplicate: 'Duplicate',
    delete: 'Delete project',
    clearWork: 'Delete stages',
  },
  name: 'Name',
  badName: 'Give a name of 1 to 100 characters.',
  renameHint: 'The folder stays where it is, under its old name.',
  duplicateHint: 'The copy is made beside this project and opened.',
  withRuns: 'With its runs (their grown checkpoints are not copied)',
  copyOf: (name: string): string => `${name} copy`,
  deleteWhat: (runs: number): string =>
    runs === 0
      ? 'This folder will be deleted:'
      : `This folder will be deleted, with ${runs === 1 ? 'its run' : `all of its ${runs} runs`} and the checkpoints they have grown:`,
  toSystemTrash: 'It goes to the system’s trash. The base model is not touched.',
  toFolderTrash:
    'It is moved to a folder “.trash” beside it. The base model is not touched unless it lies inside the project.',
  clearWhat: (size: string): string =>
    `Finished stages, ${size}, that later runs of this project could use instead of computing them again. Runs and their checkpoints stay.`,
  cleared: 'The kept stages are deleted',
  deleted: 'The project is deleted',
} as const
