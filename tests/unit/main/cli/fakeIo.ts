import type { CliIo, ProgramPaths, TextStream } from '../../../../src/main/cli/io'

/** Collects what is written. */
export class TextSink implements TextStream {
  readonly chunks: string[] = []
  isTTY: boolean
  columns: number

  constructor({ isTTY = false, columns = 80 } = {}) {
    this.isTTY = isTTY
    this.columns = columns
  }

  write(text: string): void {
    this.chunks.push(text)
  }

  get text(): string {
    return this.chunks.join('')
  }
}

export interface FakeIo extends CliIo {
  readonly stdout: TextSink
  readonly stderr: TextSink
}

export function fakeIo(
  options: { isTTY?: boolean; columns?: number; env?: Record<string, string> } = {},
): FakeIo {
  return {
    stdout: new TextSink(),
    stderr: new TextSink(options),
    env: options.env ?? {},
    cwd: process.cwd(),
  }
}

/** Nothing that is tested with it may start the engine. */
export const NO_PATHS: ProgramPaths = {
  engine: '/nowhere/engine.js',
  renderer: '/nowhere/renderer',
  resources: '/nowhere/resources',
}
