/** @file Transporting one of two layers onto the other (OpT-DeUS), as a stage of a job for each pair. */
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceDecision } from '@shared/devices'
import type { JobEvent, JobStep } from '@shared/jobs'
import { transports } from '@shared/methods'
import { readError, writeError } from '@system/errors'
import { LayerTransport, TRANSPORTED_SLOTS } from '../alignment/transport'
import { elementsOf, type RowPart } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { ArrayNeed } from '../lib/arrays'
import { bytesOf } from '../lib/matrix'
import { reporting } from '../lib/reporting'
import { ENGINE_VERSION } from '../lib/version'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { Growth } from './grow'
import type { FilledSlot } from './grownLayout'

type Planned = Pick<Growth, 'spec' | 'checkpoint' | 'plan'>

const STEP = 'transport'
const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Iterations that the marginals take to be met, and what an element takes in each, in operations of products. */
const ITERATIONS = 50
const ITERATION_OPERATIONS = 200

/** The base layers on either side of a new one: the first is transported onto the second. */
type Sides = FilledSlot['sides']

/** What was transported, by {@link keyOf} its sides; float32 files. */
export class Transported {
  constructor(private readonly folders: ReadonlyMap<string, string>) {}

  /** Elements of a slot's matrix, bias or gain in the order of the second layer. */
  async *read(
    sides: Sides,
    slot: string,
    part: 'weight' | RowPart,
    chunk: number,
  ): AsyncGenerator<Float32Array> {
    const path = join(this.folders.get(keyOf(sides)) ?? '', fileOf(slot, part))
    const file = await open(path).catch((error: unknown) => {
      throw readError(error, path, 'damaged_file')
    })
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(chunk * FLOAT))
        if (bytesRead === 0) return
        yield new Float32Array(buffer.buffer, buffer.byteOffset, bytesRead / FLOAT)
      }
    } finally {
      await file.close()
    }
  }
}

function fileOf(slot: string, part: 'weight' | RowPart): string {
  return `${slot}.${part}`
}

const keyOf = (sides: Sides): string => sides.join('-')

/** Each pair of layers that something lies between, once. */
function pairsOf({ plan }: Pick<Planned, 'plan'>): Sides[] {
  const sides = plan.layers.flatMap((layer) => (layer.kind === 'computed' ? [layer.sides] : []))
  return [...new Map(sides.map((pair) => [keyOf(pair), pair])).values()]
}

/** The costs of all pairs of neurons, a block of them, and both layers' matrices. */
export function transportNeed({ config }: Checkpoint): ArrayNeed {
  const { intermediateSize, hiddenSize, numAttentionHeads, headDim } = config
  const matrix = FLOAT * hiddenSize * Math.max(intermediateSize, numAttentionHeads * headDim)
  const costs = FLOAT * intermediateSize ** 2
  return { largest: Math.max(costs, matrix), together: costs + 3 * matrix }
}

/** Bytes that wait on the disk until the checkpoint is written. */
export function transportedBytes(growth: Planned): number {
  const own = growth.checkpoint.slotsOf(0).filter(({ id }) => TRANSPORTED_SLOTS.includes(id))
  const elements = own
    .flatMap(({ weight, bias, gain }) => [weight, bias, gain])
    .reduce((sum, span) => sum + (span ? elementsOf(span.shape) : 0), 0)
  return pairsOf(growth).length * elements * FLOAT
}

/** Products of all pairs of neurons, their plan, and the product with it; heads are few. */
export function transportWork(growth: Planned): Work {
  const { intermediateSize, hiddenSize } = growth.checkpoint.config
  const pairs = pairsOf(growth).length * intermediateSize ** 2
  return {
    products: pairs * (8 * hiddenSize + ITERATIONS * ITERATION_OPERATIONS),
    converted: 3 * transportedBytes(growth),
  }
}

export function transportSteps(growth: Planned): JobStep[] {
  if (!transports(growth.spec.method.name)) return []
  return [{ id: STEP, label: 'transport layers', weight: weightOf(transportWork(growth)) }]
}

/** Transports what no earlier run kept. */
export async function* transportLayers(
  growth: Growth,
  stages: StageStore,
): AsyncGenerator<
  JobEvent,
  { readonly device: DeviceDecision; readonly transported: Transported }
> {
  const { spec, checkpoint, signal } = growth
  const device = await chooseDevice(spec.device)
  yield { type: 'device', decision: device }
  const pairs = pairsOf(growth)
  const step = (done: number): JobEvent => ({
    type: 'step',
    id: STEP,
    done: done / pairs.length,
    total: 1,
  })
  yield step(0)
  const model = await checkpoint.fingerprint()
  const runtime = await Runtime.open(device.device)
  try {
    const transport = await LayerTransport.create(checkpoint, runtime)
    const folders = new Map<string, string>()
    for (const [index, sides] of pairs.entries()) {
      const [gap, after] = sides
      // As it was before layers could lie between others than neighbours: earlier results are still found.
      const own = after === gap + 1 ? { gap } : { sides }
      const depends = { engine: ENGINE_VERSION, model, ...own, device: device.device }
      const kept = await stages.find(STEP, depends)
      const folder =
        kept && 'folder' in kept
          ? kept.folder
          : yield* reporting<JobEvent, string>(signal, (report) =>
              transportPair({ checkpoint, transport, stages, sides, depends }, (done) =>
                report(step(index + done)),
              ),
            )
      folders.set(keyOf(sides), folder)
      yield step(index + 1)
    }
    await transport.dispose()
    return { device, transported: new Transported(folders) }
  } finally {
    await runtime.dispose()
  }
}

interface Pair {
  readonly checkpoint: Checkpoint
  readonly transport: LayerTransport
  readonly stages: StageStore
  readonly sides: Sides
  readonly depends: unknown
}

async function transportPair(
  { checkpoint, transport, stages, sides, depends }: Pair,
  onProgress: (done: number) => Promise<void>,
): Promise<string> {
  const draft = await stages.begin(STEP, depends)
  const write = async (
    slot: string,
    part: 'weight' | RowPart,
    values: Float32Array,
  ): Promise<void> => {
    const file = join(draft.folder, fileOf(slot, part))
    await writeFile(file, bytesOf(values)).catch((error: unknown) => {
      throw writeError(error, file)
    })
  }
  try {
    for await (const moved of transport.transport(...sides, onProgress)) {
      await write(moved.slot, 'weight', moved.weight)
      if (moved.bias) await write(moved.slot, 'bias', moved.bias)
      if (moved.gain) await write(moved.slot, 'gain', moved.gain)
    }
    await checkpoint.assertUnchanged()
    return await draft.commit()
  } finally {
    await draft.discard()
  }
}
