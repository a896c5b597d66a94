import type { CallArguments, CallName, CallResults, Envelope } from '@shared/contract'
import { callArguments, isCallName } from '@shared/contract'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import type { ZodError } from 'zod'

/** One handler per call of the contract; a missing one does not compile. */
export type Handlers = {
  readonly [C in CallName]: (...args: CallArguments<C>) => CallResults[C] | Promise<CallResults[C]>
}

export interface Router {
  /**
   * Answers a call from a window, whatever it may have sent. It never rejects: what goes wrong is in the envelope.
   * Whether the sender may call at all is for the host to check, before this.
   */
  dispatch(name: unknown, args: unknown): Promise<Envelope<unknown>>
}

export interface RouterOptions {
  /** Send stacks to the window; for development. */
  readonly includeStacks?: boolean
  /** Told of every error that is a defect of the program. */
  readonly onBug?: (error: AppError) => void
}

export function createRouter(handlers: Handlers, options: RouterOptions = {}): Router {
  return {
    async dispatch(name, args) {
      try {
        if (!isCallName(name)) {
          throw new AppError('bad_request', 'There is no such call.', {
            context: { actual: typeof name === 'string' ? name.slice(0, 64) : typeof name },
          })
        }
        return { ok: true, value: await invoke(handlers, name, args) }
      } catch (thrown) {
        const error = toAppError(thrown)
        if (error.code === 'bug') options.onBug?.(error)
        return { ok: false, error: forWindow(error, options.includeStacks ?? false) }
      }
    },
  }
}

async function invoke<C extends CallName>(
  handlers: Handlers,
  name: C,
  args: unknown,
): Promise<CallResults[C]> {
  const checked = callArguments[name].safeParse(args)
  if (!checked.success) throw badArguments(name, checked.error)
  const handler = handlers[name] as (...args: unknown[]) => Promise<CallResults[C]>
  return await handler(...checked.data)
}

function badArguments(name: CallName, error: ZodError): AppError {
  const issue = error.issues[0]
  const field = issue?.path.slice(1).join('.') ?? ''
  const what = field === '' ? name : `${name}, ${field}`
  return new AppError('bad_request', `${what}: ${issue?.message ?? 'not understood'}.`, {
    ...(field === '' ? {} : { context: { field } }),
  })
}

function forWindow(error: AppError, includeStacks: boolean): AppErrorData {
  const { stack, ...data } = error.toData()
  return includeStacks && stack !== undefined ? { ...data, stack } : data
}
