import { modelFolderOf } from '@system/hubCache'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatModel, toJson } from '../results'

/** Reads headers and config only, so it needs no engine process. */
export async function inspect(model: string, { io, json }: CommandContext): Promise<number> {
  const { inspectModel } = await import('../../engine/queries/inspect')
  const summary = await inspectModel(await modelFolderOf(model, io.cwd))
  io.stdout.write(json ? toJson(summary) : formatModel(summary))
  return EXIT_OK
}
