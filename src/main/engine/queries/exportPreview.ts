import type { ExportPreview } from '@shared/exports'
import type { ExportSpec } from '@shared/jobs'
import { formatBytes } from '@shared/units'
import { harmOf } from '@system/harm'
import { DISK_MARGIN_BYTES, freeSpaceAt } from '@system/space'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { destinationAt, obstacleAt, type Destination } from '../checkpoint/destination'
import { inStateDictOrder, splitIntoShards } from '../checkpoint/sharding'
import { planExport } from '../export/exportPlan'
import { modelCard } from '../growth/modelCard'

/** What an export would write, and why it would fail. Nothing is written. */
export async function previewExport(spec: ExportSpec): Promise<ExportPreview> {
  const grown = await Checkpoint.open(spec.model)
  try {
    const { layout, record } = planExport(grown, spec)
    const { tensors, bytes } = layout
    const destination = await destinationAt(spec.out)
    const freeBytes = await freeSpaceAt(spec.out)
    return {
      card: modelCard(record),
      bytes,
      shards: splitIntoShards(inStateDictOrder(tensors, grown.architecture), spec.maxShardBytes)
        .length,
      freeBytes,
      destination: destination.kind,
      problems: problemsOf(spec, { bytes, destination, freeBytes }),
    }
  } finally {
    await grown.close()
  }
}

function problemsOf(
  spec: ExportSpec,
  found: Pick<ExportPreview, 'bytes' | 'freeBytes'> & { readonly destination: Destination },
): string[] {
  const problems: string[] = []
  const obstacle = obstacleAt(spec.out, found.destination, spec.overwrite)
  if (obstacle) problems.push([obstacle.message, obstacle.hint].join(' '))
  const harm = harmOf(spec.out, [
    { path: spec.base, what: 'the base model' },
    { path: spec.model, what: 'the run' },
  ])
  if (harm !== null) problems.push(harm)
  const needed = found.bytes + DISK_MARGIN_BYTES
  if (found.freeBytes !== null && found.freeBytes < needed) {
    problems.push(
      `It needs ${formatBytes(needed)} of disk, and ${formatBytes(found.freeBytes)} are free.`,
    )
  }
  return problems
}
