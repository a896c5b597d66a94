import { app, shell, type Session, type WebContents } from 'electron'

/** Sites that a link in the window may open, in the person's own browser. */
const LINKED_HOSTS: ReadonlySet<string> = new Set([
  'aclanthology.org',
  'arxiv.org',
  'github.com',
  'huggingface.co',
  'onnxruntime.ai',
])

/**
 * Shuts what the window does not need: permissions, navigation, further windows, `<webview>`, the network.
 *
 * @param origin Where our page comes from; nothing else is loaded.
 * @param session The window's session.
 */
export function harden(origin: string, session: Session): void {
  session.setPermissionRequestHandler((_contents, permission, respond, details) =>
    respond(isGranted(permission, details.isMainFrame, details.requestingUrl, origin)),
  )
  session.setPermissionCheckHandler((_contents, permission, requestingOrigin, details) =>
    isGranted(permission, details.isMainFrame, requestingOrigin, origin),
  )
  session.setDevicePermissionHandler(() => false)
  // Nothing is fetched from anywhere: what asks for it is a mistake or an attack.
  session.webRequest.onBeforeRequest((details, respond) =>
    respond({ cancel: !isLoadable(details.url, origin) }),
  )
  // What the window has made itself, such as a chart's numbers, is saved where the person says; nothing else is.
  session.on('will-download', (event, item) => {
    if (!isOwnBlob(item.getURL(), origin)) event.preventDefault()
  })
  app.on('web-contents-created', (_event, contents) => confine(contents, origin))
}

/** Our own page may put text on the clipboard, which a person's click asks for; nothing else is granted to anybody. */
function isGranted(
  permission: string,
  isMainFrame: boolean,
  from: string,
  origin: string,
): boolean {
  const asking = parse(from)
  return (
    permission === 'clipboard-sanitized-write' &&
    isMainFrame &&
    asking !== null &&
    originOf(asking) === origin
  )
}

function confine(contents: WebContents, origin: string): void {
  const stay = (event: { preventDefault(): void }, url: string): void => {
    if (!isPageOf(url, origin)) event.preventDefault()
  }
  contents.on('will-navigate', (event) => stay(event, event.url))
  contents.on('will-frame-navigate', (event) => stay(event, event.url))
  contents.on('will-redirect', (event) => stay(event, event.url))
  contents.on('will-attach-webview', (event) => event.preventDefault())
  contents.setWindowOpenHandler(({ url }) => {
    openExternal(url)
    return { action: 'deny' }
  })
}

/** Opens a link in the person's browser, when it is https and leads to a site that the program itself links to. */
export function openExternal(url: string): void {
  if (isOpenable(url)) void shell.openExternal(new URL(url).href)
}

export function isOpenable(url: string): boolean {
  const target = parse(url)
  return (
    target?.protocol === 'https:' &&
    LINKED_HOSTS.has(target.hostname) &&
    target.port === '' &&
    target.username === '' &&
    target.password === ''
  )
}

/** The window shows one page; moving on to itself is reloading. */
function isPageOf(url: string, origin: string): boolean {
  const target = parse(url)
  return target !== null && originOf(target) === origin && target.pathname === '/'
}

function isOwnBlob(url: string, origin: string): boolean {
  return url.startsWith(`blob:${origin}/`)
}

function isLoadable(url: string, origin: string): boolean {
  if (isOwnBlob(url, origin)) return true
  const target = parse(url)
  if (!target) return false
  if (target.protocol === 'devtools:' || target.protocol === 'data:') return true
  // The development server's own socket.
  return originOf(target) === origin || originOf(target) === origin.replace(/^http:/, 'ws:')
}

/** `URL.origin` is `null` for schemes that are not the web's. */
function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`
}

function parse(url: string): URL | null {
  try {
    return new URL(url)
  } catch {
    return null
  }
}
