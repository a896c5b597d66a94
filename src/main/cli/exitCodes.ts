export const EXIT_OK = 0
/** The job failed; the error says why. */
export const EXIT_FAILED = 1
/** The command was called wrongly; nothing was started. */
export const EXIT_USAGE = 2
