import type { CallName, PushName } from './contract'

/**
 * The contract's names as values, without its validators: the preload script and the window carry these.
 * The records make a missing or a surplus name a compile error.
 */
const calls: Readonly<Record<CallName, true>> = {
  'app:info': true,
  'devices:list': true,
  'models:inspect': true,
  'folders:list': true,
  'folders:choose': true,
  'jobs:start': true,
  'jobs:cancel': true,
  'jobs:get': true,
  'jobs:list': true,
}

const pushes: Readonly<Record<PushName, true>> = {
  'jobs:changed': true,
  'app:command': true,
}

export const CALL_NAMES = Object.keys(calls) as readonly CallName[]
export const PUSH_NAMES = Object.keys(pushes) as readonly PushName[]

export function isCallName(name: unknown): name is CallName {
  return typeof name === 'string' && Object.hasOwn(calls, name)
}

export function isPushName(name: unknown): name is PushName {
  return typeof name === 'string' && Object.hasOwn(pushes, name)
}
