import { cp, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesOf } from '../checkpoint/sidecars'
import { prepareOutput } from '../checkpoint/CheckpointWriter'
import { exportSidecars, planExport, PREDICTORS } from '../export/exportPlan'
import { grownRecipes } from '../growth/grownRecipes'
import { lesaJson } from '../growth/lesaJson'
import { modelCard } from '../growth/modelCard'
import { verifyExport } from '../export/verify'
import { contentsOf } from '../growth/grownTensors'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'
import { checkRange, rangeSteps, writing } from '../growth/writing'

/** Writes a grown checkpoint to another place, in another element type or shard size if wanted, and verifies it. */
export const run: JobRunner<'export'> = async function* (spec, { signal }) {
  const started = performance.now()
  const grown = await Checkpoint.open(spec.model)
  try {
    const planned = await planExport(grown, spec)
    const sidecars = await exportSidecars(grown)
    const reads = [spec.model, spec.base]
    const { overwrite } = spec
    const bytes = planned.layout.bytes + bytesOf(sidecars)
    const output = await prepareOutput(spec.out, { overwrite, reads, bytes })
    try {
      yield {
        type: 'plan',
        steps: [
          ...rangeSteps(planned.layout, spec),
          { id: 'write', label: 'write checkpoint', weight: 3 },
          { id: 'verify', label: 'read it again', weight: 2 },
          { id: 'forward', label: 'forward pass', weight: 1 },
        ],
      }
      yield* remarksOf(grown)
      yield* checkRange(grown, planned.layout, spec, signal)
      const predictors = join(grown.path, PREDICTORS)
      if ((await stat(predictors).catch(() => null))?.isDirectory()) {
        await cp(predictors, join(output.partial, PREDICTORS), { recursive: true })
      }
      const lesa = lesaJson(planned.record)
      const written = yield* writing(signal, {
        out: spec.out,
        overwrite: spec.overwrite,
        prepared: output,
        tensors: contentsOf(grown, planned.layout),
        config: planned.config,
        sidecarsFrom: grown,
        sidecars,
        files: {
          'README.md': modelCard(planned.record),
          'lesa.json': lesa,
          ...(spec.recipes === false
            ? {}
            : grownRecipes({
                out: output.out,
                checkpoint: grown,
                config: planned.config,
                tensors: planned.layout.tensors,
                lesa,
              })),
        },
        maxShardBytes: spec.maxShardBytes,
        allowOverflow: spec.allowOverflow ?? false,
      })
      const verification = verifyExport({ spec: { ...spec, out: written.out }, planned, signal })
      let next = await verification.next()
      for (; !next.done; next = await verification.next()) {
        yield { type: 'step', id: 'verify', ...next.value }
      }
      yield { type: 'step', id: 'forward', done: 1, total: 1 }
      return {
        kind: 'export',
        out: written.out,
        bytes: written.bytes,
        shards: written.shards,
        parameters: written.parameters,
        seconds: (performance.now() - started) / 1000,
        left_out: written.leftOut,
        checks: next.value,
      }
    } finally {
      await output.discard()
    }
  } finally {
    await grown.close()
  }
}
