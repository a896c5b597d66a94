import { readFile } from 'node:fs/promises'
import { protocol, type Session } from 'electron'
import { resolveAsset } from '../host/assets'
import { securityHeaders } from '../host/headers'

const SCHEME = 'app'
const HOST = 'lesa'

/** Where the page comes from in the packaged program. */
export const APP_ORIGIN = `${SCHEME}://${HOST}`

/** Makes `app://` an origin of its own, with storage and a policy. To be called before the app is ready. */
export function registerAppScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, codeCache: true } },
  ])
}

/** Serves the renderer's bundle, and only it, as `app://lesa/`. */
export function handleAppScheme(session: Session, rendererDir: string): void {
  session.protocol.handle(SCHEME, (request) => respond(request, rendererDir))
}

async function respond(request: Request, rendererDir: string): Promise<Response> {
  const { host, pathname } = new URL(request.url)
  const asset =
    host === HOST && request.method === 'GET' ? await resolveAsset(rendererDir, pathname) : null
  if (!asset) return new Response('Not found.', { status: 404, headers: securityHeaders() })
  return new Response(await readFile(asset.file), {
    headers: { ...securityHeaders(), 'Content-Type': asset.type },
  })
}
