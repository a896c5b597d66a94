import { version } from '../../../package.json'

/** Version of the program, as in exported records. */
export const ENGINE_VERSION: string = version
