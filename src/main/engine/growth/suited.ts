/** @file Which methods the layers of a model allow, whatever a method's options are. */
import { AppError, type AppErrorData } from '@shared/errors'
import { fitsText, methodNamed, METHODS, transports, type Method } from '@shared/methods'
import { requireTransportable } from '../alignment/transport'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { requireFittable } from '../fitting/fittable'

type Model = Pick<Checkpoint, 'architecture' | 'config' | 'path'>

/** @throws AppError `unsupported_architecture` where the model cannot be grown by the method. */
export function requireSuited(method: Method, model: Model): void {
  if (fitsText(method)) requireFittable(model, 'growth')
  if (transports(method)) requireTransportable(model)
  if (methodNamed(method).fill !== undefined) requireComputable(method, model)
}

/** @throws AppError `unsupported_architecture` where new layers would be computed and can only be copied. */
function requireComputable(method: Method, { architecture, config, path }: Model): void {
  const copiedOnly = architecture.copiedOnly?.(config) ?? null
  if (copiedOnly === null) return
  const copying = METHODS.map(methodNamed).filter(({ fill, fitsText: fits }) => !fill && !fits)
  throw new AppError(
    'unsupported_architecture',
    `New layers of ${config.architectureName} are copies: it has ${copiedOnly}.`,
    {
      hint: `Choose a method that copies layers: ${copying.map(({ title }) => title).join(', ')}.`,
      context: { file: path, field: 'method', expected: 'copied layers', actual: method },
    },
  )
}

/** Why some methods cannot grow a model; those that can are not there. */
export function refusedMethods(model: Model): Partial<Record<Method, AppErrorData>> {
  const refused: Partial<Record<Method, AppErrorData>> = {}
  for (const method of METHODS) {
    try {
      requireSuited(method, model)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'unsupported_architecture') throw error
      const { stack: _, ...refusal } = error.toData()
      refused[method] = refusal
    }
  }
  return refused
}
