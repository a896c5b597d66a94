import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bitsPerElement } from '../../../src/main/engine/checkpoint/dtypes'
import { encodeSafetensorsHeader } from '../../../src/main/engine/checkpoint/safetensors'
import {
  inFileOrder,
  shardName,
  splitIntoShards,
} from '../../../src/main/engine/checkpoint/sharding'
import { planSynthesis, synthesizeTensors } from '../../../src/main/engine/synthesis/synthesize'
import { numberOf, runLesa, runProgram } from '../lib/measure'
import { llamaConfig, TINY } from '../lib/models'
import { SkipError, type BenchContext, type Benchmark, type Part, type Sample } from '../lib/types'

/** The 70 B Llama 3, in shards of 5 GB. */
const LARGE = {
  hidden: 8192,
  intermediate: 28_672,
  heads: 64,
  keyValueHeads: 8,
  layers: 80,
  vocabulary: 128_256,
} as const
const SHARD_BYTES = 5e9

/** Memory of a short run is looked at this often, in a run whose time does not count. */
const FINE_INTERVAL_MS = 5

export const startupBenchmark: Benchmark = {
  name: 'startup',
  description:
    'wall time of lesa --help and of lesa inspect on a checkpoint with the headers of a 70 B Llama (sparse files), ' +
    'as scripts/lesa.mjs runs them with everything built, and of the bundled program without that check',
  run,
}

async function run(context: BenchContext): Promise<Part[]> {
  const { quick, work, root, signal, say } = context
  const model = join(work, 'large')
  say('startup: writing headers')
  await writeHeaders(model, quick)
  const repeats = context.repeats ?? (quick ? 2 : 11)
  const command = join(root, 'scripts/lesa.mjs')
  const parts = [
    await measure('help', repeats, { seconds: 0.15 }, (memory) =>
      runProgram(process.execPath, [command, '--help'], { signal, memory }),
    ),
    await measure('help, bundled program', repeats, {}, (memory) =>
      runLesa(context, ['--help'], { memory }),
    ),
    await measure('inspect', repeats, { seconds: 0.5 }, async (memory) => {
      const args = [command, 'inspect', model, '--json']
      const run = await runProgram(process.execPath, args, { signal, memory })
      const summary = JSON.parse(run.stdout) as Record<string, unknown>
      const layers = quick ? TINY.layers : LARGE.layers
      if (numberOf(summary, 'num_hidden_layers') !== layers) throw new Error('Wrong depth.')
      return run
    }),
  ]
  await rm(model, { recursive: true })
  return parts
}

async function measure(
  name: string,
  repeats: number,
  goal: Part['goal'],
  once: (memory: number | false) => Promise<{ seconds: number; peakBytes: number | null }>,
): Promise<Part> {
  // Warms the page cache up, too.
  const { peakBytes } = await once(FINE_INTERVAL_MS)
  const ours: Sample[] = []
  for (let turn = 0; turn < repeats; turn += 1) {
    ours.push({ value: (await once(false)).seconds, peakBytes })
  }
  return { name, unit: 's', ours, reference: null, goal }
}

/** A checkpoint of headers only; what should be weights are holes in the files. */
async function writeHeaders(folder: string, quick: boolean): Promise<void> {
  await mkdir(folder, { recursive: true })
  const config = llamaConfig(quick ? TINY : LARGE)
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify(config))
  const plan = await planSynthesis({ like: { config: file }, dtype: 'bf16' })
  const shards = splitIntoShards(synthesizeTensors(plan, 0), quick ? 1e6 : SHARD_BYTES)
  const map: Record<string, string> = {}
  let totalBytes = 0
  for (const [index, shard] of shards.entries()) {
    const name = shardName(index, shards.length)
    const tensors = inFileOrder(shard, plan.architecture, (dtype) => bitsPerElement(dtype) ?? 0)
    const header = encodeSafetensorsHeader(tensors, { format: 'pt' })
    const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0)
    for (const tensor of tensors) map[tensor.name] = name
    totalBytes += bytes
    await writeSparse(join(folder, name), header, header.byteLength + bytes)
  }
  const index = { metadata: { total_size: totalBytes }, weight_map: map }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index, null, 2))
}

async function writeSparse(file: string, start: Uint8Array, bytes: number): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await handle.writeFile(start)
    await handle.truncate(bytes)
  } catch (cause) {
    throw new SkipError('the disk has no sparse files, and no room for the whole of them', {
      cause,
    })
  } finally {
    await handle.close()
  }
}
