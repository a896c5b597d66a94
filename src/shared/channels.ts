/** Electron's IPC channels: one for calls, one for pushes. */
export const CALL_CHANNEL = 'lesa:call'
export const PUSH_CHANNEL = 'lesa:push'
