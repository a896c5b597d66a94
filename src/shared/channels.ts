/** Electron's IPC channels: one for calls, one for pushes, one for what was dropped on the window. */
export const CALL_CHANNEL = 'lesa:call'
export const PUSH_CHANNEL = 'lesa:push'
export const DROP_CHANNEL = 'lesa:dropped'
