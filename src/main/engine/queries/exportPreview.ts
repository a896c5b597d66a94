import { readdir, stat } from 'node:fs/promises'
import type { ExportPreview } from '@shared/exports'
import type { ExportSpec } from '@shared/jobs'
import { formatBytes } from '@shared/units'
import { harmOf } from '@system/harm'
import { freeSpaceAt } from '@system/space'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { DISK_MARGIN_BYTES } from '../checkpoint/preparedOutput'
import { inStateDictOrder, splitIntoShards } from '../checkpoint/sharding'
import { planExport } from '../export/exportPlan'
import { modelCard } from '../growth/modelCard'

/** What an export would write, and why it would fail. Nothing is written. */
export async function previewExport(spec: ExportSpec): Promise<ExportPreview> {
  const grown = await Checkpoint.open(spec.model)
  try {
    const { layout, record } = planExport(grown, spec)
    const { tensors, bytes } = layout
    const destination = await destinationOf(spec.out)
    const freeBytes = await freeSpaceAt(spec.out)
    return {
      card: modelCard(record),
      bytes,
      shards: splitIntoShards(inStateDictOrder(tensors, grown.architecture), spec.maxShardBytes)
        .length,
      freeBytes,
      destination,
      problems: problemsOf(spec, { bytes, destination, freeBytes }),
    }
  } finally {
    await grown.close()
  }
}

function problemsOf(
  spec: ExportSpec,
  found: Pick<ExportPreview, 'bytes' | 'destination' | 'freeBytes'>,
): string[] {
  const problems: string[] = []
  if (found.destination === 'file') problems.push('There is a file of this name.')
  const isTaken = found.destination === 'checkpoint' || found.destination === 'other_files'
  if (isTaken && !spec.overwrite) {
    problems.push('The folder is not empty: choose another one, or allow it to be replaced.')
  }
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

async function destinationOf(out: string): Promise<ExportPreview['destination']> {
  const stats = await stat(out).catch(() => null)
  if (!stats) return 'free'
  if (!stats.isDirectory()) return 'file'
  const names = await readdir(out).catch(() => ['?'])
  if (names.length === 0) return 'empty_folder'
  const isCheckpoint =
    names.includes('config.json') && names.some((name) => name.startsWith('model.safetensors'))
  return isCheckpoint || names.some((name) => /^model-\d+-of-\d+\.safetensors$/.test(name))
    ? 'checkpoint'
    : 'other_files'
}
