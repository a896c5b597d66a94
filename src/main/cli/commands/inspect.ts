import { modelFolderOf } from '@system/hubCache'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatModel, toJson } from '../results'

/** Reads headers and config only, so it needs no engine process. */
export async function inspect(model: string, { io, json }: CommandContext): Promise<number> {
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  const summary = await Checkpoint.inspect(await modelFolderOf(model, io.cwd))
  io.stdout.write(json ? toJson(summary) : formatModel(summary))
  return EXIT_OK
}
