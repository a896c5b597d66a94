import { toAppError, type AppError } from '@shared/errors'
import type { ExportPreview } from '@shared/exports'
import { isRepositoryId } from '@shared/hub'
import type { ExportSpec } from '@shared/jobs'
import { formatBytes } from '@shared/units'
import { harmOf } from '@system/harm'
import { DISK_MARGIN_BYTES, freeSpaceAt } from '@system/space'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { destinationAt, obstacleAt } from '../checkpoint/destination'
import { probeOutput } from '../checkpoint/preparedOutput'
import { bytesOf } from '../checkpoint/sidecars'
import { inStateDictOrder, splitIntoShards } from '../checkpoint/sharding'
import { exportSidecars, planExport } from '../export/exportPlan'
import { cardDefaults, modelCard } from '../growth/modelCard'

/** What an export would write, and why it would fail. Nothing is written. */
export async function previewExport(spec: ExportSpec): Promise<Omit<ExportPreview, 'publishable'>> {
  const grown = await Checkpoint.open(spec.model)
  try {
    const { layout, record } = await planExport(grown, spec)
    const { tensors, bytes } = layout
    const sidecars = await exportSidecars(grown)
    const neededBytes = bytes + bytesOf(sidecars) + DISK_MARGIN_BYTES
    const freeBytes = await freeSpaceAt(spec.out)
    const { destination, problems } = await lookAt(spec)
    if (freeBytes !== null && freeBytes < neededBytes) {
      problems.push(
        `It needs ${formatBytes(neededBytes)} of disk, and ${formatBytes(freeBytes)} are free.`,
      )
    }
    const { baseModel = '' } = spec.card ?? {}
    if (baseModel !== '' && !isRepositoryId(baseModel)) {
      problems.push('The base model is not an id on the hub, such as org/name.')
    }
    return {
      card: modelCard(record),
      cardDefaults: cardDefaults(record),
      files: sidecars.files.map(({ path }) => path),
      leftOut: sidecars.leftOut,
      bytes,
      shards: splitIntoShards(inStateDictOrder(tensors, grown.architecture), spec.maxShardBytes)
        .length,
      neededBytes,
      freeBytes,
      destination,
      problems,
    }
  } finally {
    await grown.close()
  }
}

/** What is at the destination, and what stands in the way of writing there. */
async function lookAt({
  out,
  overwrite,
  base,
  model,
}: ExportSpec): Promise<{ destination: ExportPreview['destination']; problems: string[] }> {
  const problems: string[] = []
  const harm = harmOf(out, [
    { path: base, what: 'the base model' },
    { path: model, what: 'the run' },
  ])
  if (harm !== null) problems.push(harm)
  try {
    await probeOutput(out)
    const found = await destinationAt(out)
    const obstacle = obstacleAt(out, found, overwrite)
    if (obstacle) problems.push(sentences(obstacle))
    return { destination: found.kind, problems }
  } catch (error) {
    problems.push(sentences(toAppError(error)))
    return { destination: 'free', problems }
  }
}

function sentences({ message, hint }: AppError): string {
  return [message, hint].join(' ').trim()
}
