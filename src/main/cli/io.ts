/** Where the command line writes; a test gives its own. */
export interface TextStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** What the command line has of its surroundings. */
export interface CliIo {
  /** Results. */
  readonly stdout: TextStream
  /** Progress, warnings, errors. */
  readonly stderr: TextStream
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

/** Where the built program's other parts lie; all absolute. */
export interface ProgramPaths {
  /** The engine process's entry. */
  readonly engine: string
  /** The built renderer, for `serve`. */
  readonly renderer: string
  /** The bundled model and text. */
  readonly resources: string
}
