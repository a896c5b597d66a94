/** Every way a request or a job can fail, as a closed set: code branches on these, never on message text. */
export const ERROR_CODES = [
  'bad_checkpoint',
  'bad_request',
  'bad_tokenizer',
  'damaged_file',
  'device_lost',
  'device_unavailable',
  'disconnected',
  'engine_crashed',
  'in_use',
  'model_missing',
  'not_enough_disk',
  'not_enough_memory',
  'not_found',
  'numeric_failure',
  'output_exists',
  'path_denied',
  'shape_mismatch',
  'unsupported_architecture',
  'unsupported_dtype',
  'unsupported_version',
  'write_failed',
  'bug',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/** What an error is about; values are already printable. */
export type ErrorContext = Readonly<
  Partial<Record<'file' | 'tensor' | 'expected' | 'actual' | 'device' | 'field' | 'stage', string>>
>

/** An error as it crosses a process boundary. */
export interface AppErrorData {
  readonly code: ErrorCode
  /** One sentence for people. */
  readonly message: string
  /** What the person can do about it. */
  readonly hint?: string
  readonly context?: ErrorContext
  /** Developers' detail; not shown by default. */
  readonly stack?: string
}

/** The one error class of the product; `cause` keeps what was underneath. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly context: ErrorContext | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; context?: ErrorContext; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.context = options.context
  }

  toData(): AppErrorData {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.context === undefined ? {} : { context: this.context }),
      ...(this.stack === undefined ? {} : { stack: this.stack }),
    }
  }

  static fromData(data: AppErrorData): AppError {
    const error = new AppError(data.code, data.message, {
      ...(data.hint === undefined ? {} : { hint: data.hint }),
      ...(data.context === undefined ? {} : { context: data.context }),
    })
    if (data.stack !== undefined) error.stack = data.stack
    return error
  }
}

/** Converts anything thrown into an {@link AppError}; what is not one already is a `bug`. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const error = new AppError('bug', message, {
    hint: 'This is a defect of the program, not of your model. Please report it with the details.',
    cause: thrown,
  })
  if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack
  return error
}
