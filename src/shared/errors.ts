import { shortened, shown } from './text'

/** Characters of a sentence, which may hold a name or two from outside. */
const SENTENCE_LENGTH = 480

/** Characters of a stack: its first frames tell. */
const STACK_LENGTH = 6_000

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

/**
 * The one error class of the product; `cause` keeps what was underneath. Names from files and other programs' words may
 * be put into it as they are: whatever is too long or cannot be shown is shortened and escaped here.
 */
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
    const { hint, context, cause } = options
    super(shown(message, SENTENCE_LENGTH), cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint === undefined ? undefined : shown(hint, SENTENCE_LENGTH)
    this.context = context && mapValues(context)
  }

  toData(): AppErrorData {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.context === undefined ? {} : { context: this.context }),
      ...(this.stack === undefined ? {} : { stack: shortened(this.stack, STACK_LENGTH) }),
    }
  }

  /** The same error with the file that it is about, where it does not say. */
  about(file: string): AppError {
    if (this.context?.file !== undefined) return this
    const error = AppError.fromData({ ...this.toData(), context: { file, ...this.context } })
    error.cause = this.cause
    return error
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

function mapValues(context: ErrorContext): ErrorContext {
  return Object.fromEntries(Object.entries(context).map(([key, value]) => [key, shown(value)]))
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
