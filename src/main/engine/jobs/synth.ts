import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { prepareOutput } from '../checkpoint/CheckpointWriter'
import { planSynthesis, synthesizeTensors, type SynthesisPlan } from '../synthesis/synthesize'
import { ENGINE_VERSION } from '../lib/version'
import type { JobRunner } from './runner'
import { writing } from '../growth/writing'

/** Writes a checkpoint of seeded random weights with the shape of a real model; memory does not depend on its size. */
export const run: JobRunner<'synth'> = async function* (spec, { signal }) {
  const started = performance.now()
  const plan = await planSynthesis(spec)
  const tensors = synthesizeTensors(plan, spec.seed)
  const output = await prepareOutput(spec.out, {
    overwrite: spec.overwrite,
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    reads: 'config' in spec.like ? [spec.like.config] : [],
  })
  try {
    yield { type: 'plan', steps: [{ id: 'write', label: 'write checkpoint', weight: 1 }] }
    // The writer takes the spelling of numbers from the config of a folder.
    await writeFile(join(output.scratch, 'config.json'), plan.configText)
    const written = yield* writing(signal, {
      out: spec.out,
      overwrite: spec.overwrite,
      prepared: output,
      tensors,
      config: plan.rawConfig,
      sidecarsFrom: output.scratch,
      files: { 'README.md': card(plan, spec.seed) },
      maxShardBytes: spec.maxShardBytes,
    })
    return {
      kind: 'synth',
      out: written.out,
      architecture: plan.config.architectureName,
      num_hidden_layers: plan.config.numHiddenLayers,
      parameters: written.parameters,
      bytes: written.bytes,
      shards: written.shards,
      dtype: spec.dtype,
      seed: spec.seed,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    await output.discard()
  }
}

function card({ source, config, dtype }: SynthesisPlan, seed: number): string {
  const like = source.replaceAll('\\', '/').split('/').at(-1) ?? source
  return (
    `# Synthetic checkpoint\n\nRandom weights with the shape of ${like}: ${config.architectureName}, ` +
    `${config.numHiddenLayers} layers, ${dtype}, seed ${seed}. For trials and benchmarks; it knows no language. ` +
    `Made by LESA Workbench ${ENGINE_VERSION}.\n`
  )
}
