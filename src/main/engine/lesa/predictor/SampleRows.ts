import { stays } from '../../onnx/placement'
import type { Feeds, Runtime, Tensor } from '../../onnx/Runtime'
import { bytesOfPrecision, type Precision } from '../decomposition/CoordinateStore'
import { maxRunBytes } from '../memory'
import type { SamplePlaces, Samples } from './Samples'
import type { SampleTensors } from './trainingGraph'

/** Bytes of one tensor on a device; several take the rows' columns when they are more. Every GPU in use takes this. */
const MAX_SLAB_BYTES = 2 ** 30

/** All samples' rows, columns split where one tensor would be too large. */
interface ResidentRows {
  /** `[rows, columns]` each. */
  readonly slabs: readonly Tensor[]
  /** What each row is to be multiplied by, `[rows]`. */
  readonly scales: Tensor
  /** Rows of a layer among them. */
  readonly layerRows: number
}

/** How the training graph gets the samples' rows: from where they all are, or those of a run copied for it. */
export class SampleRows {
  private constructor(
    private readonly runtime: Runtime,
    private readonly samples: Samples,
    /** All rows, where the device can use them from run to run; `null` where each run brings its own. */
    private readonly resident: ResidentRows | null,
    private readonly precision: Precision,
  ) {}

  /** @param residentBytes Memory of a device that all rows may take, so that each goes there once. */
  static async create(
    runtime: Runtime,
    samples: Samples,
    residentBytes: number,
  ): Promise<SampleRows> {
    const precision = runtime.placement.isHost ? samples.precision : 'float32'
    const resident = await residentRows(runtime, samples, residentBytes)
    return new SampleRows(runtime, samples, resident, precision)
  }

  get tensors(): SampleTensors {
    const { resident, samples, precision } = this
    const slabs = resident?.slabs.map(({ dims }) => dims[1] ?? 0) ?? [samples.width]
    return { precision, slabs }
  }

  /** How many steps' rows one run may bring. */
  mostSteps(batch: number): number {
    const { width, rowCount } = this.samples
    const rowBytes = width * bytesOfPrecision(this.precision)
    const copied = maxRunBytes(width, rowCount * rowBytes)
    return this.resident ? Infinity : Math.max(1, Math.floor(copied / (3 * batch * rowBytes)))
  }

  /** Rows and tables for `steps` steps on the samples at `indices`, the same number for each. */
  feeds(indices: Uint32Array, steps: number): Feeds {
    const { runtime } = this
    const dims = [steps, indices.length / steps]
    const { slabs, scales, places } = this.#rows(indices)
    return {
      ...Object.fromEntries(slabs.map((slab, index) => [`rows.${index}`, slab])),
      scales,
      left: runtime.int32(places.left, dims),
      right: runtime.int32(places.right, dims),
      target: runtime.int32(places.target, dims),
    }
  }

  #rows(indices: Uint32Array): Omit<ResidentRows, 'layerRows'> & { places: SamplePlaces } {
    const { resident, samples, runtime } = this
    if (resident) return { ...resident, places: samples.locate(indices, resident.layerRows) }
    const { rows, scales, places } = samples.copy(indices, this.precision)
    const count = scales.length
    return {
      slabs: [runtime.stored(rows, [count, samples.width])],
      scales: runtime.float32(scales, [count]),
      places,
    }
  }

  release(): void {
    const { runtime, resident } = this
    if (resident) for (const tensor of [...resident.slabs, resident.scales]) runtime.release(tensor)
  }
}

/** Brings all rows to the device, or `null`: they may not stay there. */
async function residentRows(
  runtime: Runtime,
  samples: Samples,
  residentBytes: number,
): Promise<ResidentRows | null> {
  const { all, width, rowCount, rank, storedRank } = samples
  if (runtime.placement.isHost) {
    if (!all) return null
    // They are there already.
    const count = all.scales.length
    return {
      slabs: [runtime.stored(all.rows, [count, width])],
      scales: runtime.float32(all.scales, [count]),
      layerRows: storedRank,
    }
  }
  const columnBytes = rowCount * Float32Array.BYTES_PER_ELEMENT
  if (!stays(runtime.placement, columnBytes * width, residentBytes)) return null
  const step = Math.max(1, Math.floor(MAX_SLAB_BYTES / columnBytes))
  const slabs: Tensor[] = []
  for (let start = 0; start < width; start += step) {
    const end = Math.min(width, start + step)
    slabs.push(await runtime.upload(samples.columns(start, end), [rowCount, end - start]))
  }
  const scales = await runtime.upload(samples.columnScales(), [rowCount])
  return { slabs, scales, layerRows: rank }
}
