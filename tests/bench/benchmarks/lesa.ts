import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { estimateExpand } from '../lib/estimate'
import { numberOf, runLesa, runReference, takeTurns } from '../lib/measure'
import { llamaConfig, synthesize, TINY } from '../lib/models'
import { requireSpace } from '../lib/space'
import type { BenchContext, Benchmark, Part } from '../lib/types'

const LAYERS = 22
const GROWN = 33

/** Base and two outputs of the 1.1 B shape, at most: one side's output is removed before the other's turn. */
const NEEDED_BYTES = 7e9

export const lesaBenchmark: Benchmark = {
  name: 'lesa-1.1b',
  description:
    'lesa expand --method lesa (paper preset, nothing held out) of a synthetic 1.1 B-parameter Llama, 22 → 33 layers, start of the ' +
    'program to finished folder, against all of LESA in PyTorch from files to files (its start not counted)',
  run,
}

async function run(context: BenchContext): Promise<Part[]> {
  const { quick, work, python, say } = context
  const name = 'lesa-1.1b'
  const model = join(work, 'base')
  const out = join(work, 'grown')
  if (!quick) await requireSpace(work, NEEDED_BYTES)
  say(`${name}: writing the base model`)
  await synthesize(context, model, quick ? llamaConfig(TINY) : 'llama-1.1b', LAYERS)
  const estimate = await estimateExpand(context, model, {
    method: 'lesa',
    preset: 'paper',
    holdout: false,
    out,
    device: 'cpu',
  })
  const stages = new Stages()
  const notes: string[] = []
  const sides = await takeTurns(
    context,
    name,
    {
      ours: async () => {
        stages.clear()
        const args = [
          'expand',
          model,
          '--out',
          out,
          '--method',
          'lesa',
          '--preset',
          'paper',
          '--no-holdout',
          '--device',
          'cpu',
        ]
        const run = await runLesa(context, [...args, '--overwrite', '--json'], {
          onLine: (line, seconds) => stages.note(line, seconds),
        })
        const result = JSON.parse(run.stdout) as Record<string, unknown>
        requireLayers(numberOf(result, 'num_hidden_layers'))
        await rm(out, { recursive: true })
        return { value: run.seconds, peakBytes: run.peakBytes }
      },
      reference:
        python === null
          ? null
          : async () => {
              const run = await runReference(context, python, 'lesa.py', { model, out })
              const inspected = await runLesa(context, ['inspect', out, '--json'])
              requireLayers(numberOf(JSON.parse(inspected.stdout) as never, 'num_hidden_layers'))
              await rm(out, { recursive: true })
              const part = (stage: string) => `${stage} ${numberOf(run.report, stage).toFixed(1)} s`
              notes.splice(
                0,
                Infinity,
                `reference: ${['decompose', 'train', 'predict', 'write'].map(part).join(', ')}`,
              )
              return { value: numberOf(run.report, 'seconds'), peakBytes: run.peakBytes }
            },
    },
    1,
  )
  await rm(model, { recursive: true })
  return [
    {
      name,
      unit: 's',
      ...sides,
      goal: { ratio: 1 / 2.5, peakRatio: 1 / 3 },
      estimate,
      notes: [`ours: ${stages.toString()}`, ...notes],
    },
  ]
}

function requireLayers(layers: number): void {
  if (layers !== GROWN) throw new Error(`The grown model has ${layers} layers, not ${GROWN}.`)
}

/** Seconds by stage, from the progress lines: each stage of a weight type ends with one. */
class Stages {
  readonly #seconds = new Map<string, number>()
  #last = 0

  clear(): void {
    this.#seconds.clear()
    this.#last = 0
  }

  note(line: string, seconds: number): void {
    const match = /^\[[ \d]+%\] (?:\w+_proj: )?(decompose|train|predict|write)\b.* done/.exec(line)
    if (!match?.[1]) return
    this.#seconds.set(match[1], (this.#seconds.get(match[1]) ?? 0) + seconds - this.#last)
    this.#last = seconds
  }

  toString(): string {
    return [...this.#seconds].map(([name, value]) => `${name} ${value.toFixed(1)} s`).join(', ')
  }
}
