/** @file Which methods the layers of a model allow, whatever a method's options are. */
import { AppError, type AppErrorData } from '@shared/errors'
import { fitsText, METHODS, transports, type Method } from '@shared/methods'
import { requireTransportable } from '../alignment/transport'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { requireFittable } from '../fitting/fittable'

type Model = Pick<Checkpoint, 'architecture' | 'config' | 'path'>

/** @throws AppError `unsupported_architecture` where the model cannot be grown by the method. */
export function requireSuited(method: Method, model: Model): void {
  if (fitsText(method)) requireFittable(model)
  if (transports(method)) requireTransportable(model)
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
