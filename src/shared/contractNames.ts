import type { CallName, PushName } from './contract'

/**
 * The contract's names as values, without its validators: the preload script and the window carry these.
 * The records make a missing or a surplus name a compile error.
 */
const calls: Readonly<Record<CallName, true>> = {
  'app:info': true,
  'settings:get': true,
  'settings:update': true,
  'recents:list': true,
  'recents:remove': true,
  'recents:clear': true,
  'devices:list': true,
  'folders:list': true,
  'folders:choose': true,
  'folders:open': true,
  'folders:identify': true,
  'files:chooseText': true,
  'files:reveal': true,
  'models:inspect': true,
  'models:config': true,
  'models:tensors': true,
  'models:growth': true,
  'models:statistics': true,
  'models:computeStatistics': true,
  'projects:list': true,
  'projects:create': true,
  'projects:createDemo': true,
  'projects:open': true,
  'projects:get': true,
  'projects:close': true,
  'projects:update': true,
  'projects:rename': true,
  'projects:duplicate': true,
  'projects:clearWork': true,
  'projects:delete': true,
  'projects:relocateModel': true,
  'projects:addText': true,
  'projects:removeText': true,
  'projects:compare': true,
  'runs:estimate': true,
  'runs:start': true,
  'runs:resume': true,
  'runs:retry': true,
  'runs:get': true,
  'runs:series': true,
  'runs:analysis': true,
  'runs:projection': true,
  'runs:rename': true,
  'runs:delete': true,
  'runs:deleteModel': true,
  'evaluations:start': true,
  'exports:preview': true,
  'exports:start': true,
  'jobs:estimate': true,
  'jobs:start': true,
  'jobs:cancel': true,
  'jobs:get': true,
  'jobs:list': true,
  'jobs:moveBefore': true,
}

const pushes: Readonly<Record<PushName, true>> = {
  'jobs:changed': true,
  'jobs:reordered': true,
  'projects:changed': true,
  'recents:changed': true,
  'settings:changed': true,
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
