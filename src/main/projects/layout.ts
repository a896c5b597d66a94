/** @file Names within a project's folder. */

/** Makes a folder a project. */
export const PROJECT_FILE = 'project.json'
