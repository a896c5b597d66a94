import { z } from 'zod'
import type { CommandId } from './commands'
import type { DeviceReport } from './devices'
import type { AppErrorData } from './errors'
import { jobSpecSchema, type JobSnapshot } from './jobs'
import type { ModelSummary } from './model'

/** What carries the window: the desktop shell, or a browser on this machine. */
export type HostKind = 'electron' | 'browser'

export interface AppInfo {
  readonly version: string
  readonly host: HostKind
  /** What joins the parts of a path here. */
  readonly pathSeparator: '/' | '\\'
  /** Where a person may write; the bundled model's own folder is not such a place. */
  readonly home: string
  /** The bundled model and its text. */
  readonly demoModel: string
  readonly demoText: string
}

export interface FolderListing {
  readonly path: string
  /** `null` at the top. */
  readonly parent: string | null
  readonly folders: readonly { readonly name: string; readonly isModel: boolean }[]
}

const path = z.string().min(1).max(4096)
const jobId = z.string().min(1).max(64)

/** Validators of every call's arguments. The router checks them; everything else is derived from here. */
export const callArguments = {
  'app:info': z.tuple([]),
  'devices:list': z.tuple([]),
  'models:inspect': z.tuple([path]),
  'folders:list': z.tuple([path.nullable()]),
  'folders:choose': z.tuple([]),
  'jobs:start': z.tuple([jobSpecSchema]),
  'jobs:cancel': z.tuple([jobId]),
  'jobs:get': z.tuple([jobId]),
  'jobs:list': z.tuple([]),
} as const

/** What each call answers. */
export interface CallResults {
  'app:info': AppInfo
  'devices:list': readonly DeviceReport[]
  'models:inspect': ModelSummary
  /** Subfolders of a folder, the home folder for `null`: for the browser host, which has no native dialog. */
  'folders:list': FolderListing
  /** The native folder dialog; `null` when it was dismissed or there is none. */
  'folders:choose': string | null
  'jobs:start': JobSnapshot
  'jobs:cancel': JobSnapshot
  'jobs:get': JobSnapshot
  'jobs:list': readonly JobSnapshot[]
}

/** What is pushed without being asked for. */
export interface Pushes {
  'jobs:changed': JobSnapshot
  /** A menu item was chosen. */
  'app:command': CommandId
}

export type CallName = keyof typeof callArguments & keyof CallResults
export type CallArguments<C extends CallName> = z.infer<(typeof callArguments)[C]>
export type PushName = keyof Pushes

/** Electron passes only an error's text, so answers are wrapped on every host. */
export type Envelope<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: AppErrorData }

export type Unsubscribe = () => void

/** What a host gives the renderer: `window.lesa` under Electron, a WebSocket client in a browser. */
export interface Transport {
  call<C extends CallName>(name: C, args: CallArguments<C>): Promise<Envelope<CallResults[C]>>
  subscribe<P extends PushName>(name: P, listener: (payload: Pushes[P]) => void): Unsubscribe
  /** The path of a file dropped on the window; `null` where the host cannot tell. */
  pathOfFile(file: unknown): string | null
  /** Tells of the line to the program, where there is one that can break: now, and whenever it changes. */
  onConnection?(listener: (isConnected: boolean) => void): Unsubscribe
}
