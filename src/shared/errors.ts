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
  'system_failed',
  'training_diverged',
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

/** Converts anything thrown into an {@link AppError}; what neither is one nor comes from the system is a `bug`. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  const problem = systemProblem(thrown)
  if (problem) return problem
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const error = new AppError('bug', message, {
    hint: 'This is a defect of the program, not of your model. Please report it with the details.',
    cause: thrown,
  })
  if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack
  return error
}

/** System calls that change what is on a disk. */
const WRITING =
  /^(?:write|pwrite|mk|rename|unlink|rmdir|rm|ftruncate|truncate|f?sync|fdatasync|copy|cp|link|symlink|f?utime|f?ch)/

/** What the system has refused, in the product's terms; `null` for errors of other kinds. */
export function systemProblem(
  thrown: unknown,
  /** What was tried, where the error itself does not say it as people know it. */
  tried: { readonly file?: string; readonly writes?: boolean } = {},
): AppError | null {
  if (typeof thrown !== 'object' || thrown === null) return null
  if (isOutOfMemory(thrown)) {
    const actual = String('message' in thrown ? thrown.message : thrown).slice(0, 200)
    return new AppError('not_enough_memory', 'There was not enough memory.', {
      hint: 'Close other programs, or set a lower bound for the job (--memory).',
      context: { actual },
      cause: thrown,
    })
  }
  const { code, path, syscall } = thrown as Partial<Record<'code' | 'path' | 'syscall', unknown>>
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return null
  const file = tried.file ?? (typeof path === 'string' ? path : undefined)
  const what = file ?? 'A file'
  const writes = tried.writes ?? (typeof syscall === 'string' && WRITING.test(syscall))
  const problem = (kind: ErrorCode, message: string, hint?: string): AppError =>
    new AppError(kind, message, {
      ...(hint === undefined ? {} : { hint }),
      context: { ...(file === undefined ? {} : { file }), actual: code },
      cause: thrown,
    })
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return problem(
        'not_enough_disk',
        `The disk became full while writing ${file ?? 'a file'}.`,
        'Free some space or choose a folder on another disk.',
      )
    case 'EFBIG':
      return problem(
        'write_failed',
        `${what} became larger than its disk or this session allows.`,
        'Choose a folder on another disk, smaller shards, or raise the limit (ulimit -f).',
      )
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return writes || code === 'EROFS'
        ? problem(
            'path_denied',
            `${what} may not be written.`,
            'Choose a folder that you may write to, or change its permissions.',
          )
        : problem('path_denied', `${what} may not be read.`, 'Check its permissions.')
    case 'ENAMETOOLONG':
      return problem(
        'path_denied',
        'The name is longer than the system allows.',
        'Choose a shorter name, or a folder higher up.',
      )
    case 'ENOENT':
    case 'ENOTDIR':
      return writes
        ? problem(
            'write_failed',
            `${what} could not be written: its folder is not there (${code}).`,
          )
        : problem('not_found', `${what} does not exist.`)
    case 'ENOMEM':
      return problem('not_enough_memory', 'There was not enough memory.', 'Close other programs.')
    case 'EMFILE':
    case 'ENFILE':
      return problem(
        'system_failed',
        'The system lets this program open no more files.',
        'Raise the limit (ulimit -n), or close other programs.',
      )
    default:
      return writes
        ? problem('write_failed', `${what} could not be written (${code}).`)
        : problem('system_failed', `${what} could not be read (${code}).`)
  }
}

const MEMORY_CODES: readonly unknown[] = [
  'ERR_MEMORY_ALLOCATION_FAILED',
  'ERR_WORKER_OUT_OF_MEMORY',
  'ERR_WORKER_INIT_FAILED',
]

/** The engines of JavaScript, WebAssembly and ONNX have no codes for it: the one place where a text decides. */
function isOutOfMemory(thrown: object): boolean {
  if ('code' in thrown && MEMORY_CODES.includes(thrown.code)) return true
  if (!(thrown instanceof Error)) return false
  return thrown instanceof RangeError
    ? /allocation failed|could not allocate|out of memory|invalid typed array length: \d{10}/i.test(
        thrown.message,
      )
    : /std::bad_alloc|failed to allocate memory|out of memory/i.test(thrown.message)
}
