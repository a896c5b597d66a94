/** @file What every process knows of jobs. A kind of job has a file of its own and its lines in `registry.ts`. */
export * from './events'
export * from './fold'
export { LANES, type Lane } from './kind'
export * from './output'
export * from './registry'
export * from './series'
export * from './snapshot'
