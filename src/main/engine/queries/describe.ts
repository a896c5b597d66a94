import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { ModelConfigText } from '@shared/model'
import type { TensorTable } from '@shared/statistics'
import { Checkpoint, type TensorInfo } from '../checkpoint/Checkpoint'
import { inStateDictOrder } from '../checkpoint/sharding'

/** A checkpoint's `config.json`; that it can be read and parsed has been checked by opening the folder. */
export async function readConfigText(folder: string): Promise<ModelConfigText> {
  await Checkpoint.inspect(folder)
  const text = await readFile(join(folder, 'config.json'), 'utf8')
  const config = JSON.parse(text) as Record<string, unknown>
  const entries = Object.entries(config).map(([key, value]) => ({
    key,
    value: JSON.stringify(value),
  }))
  return { text, entries }
}

/** Every tensor of a checkpoint of any architecture, column by column, in the order of a state dict. */
export async function tensorTable(folder: string): Promise<TensorTable> {
  return tabulate(inStateDictOrder(await Checkpoint.listTensors(folder)))
}

function tabulate(tensors: readonly TensorInfo[]): TensorTable {
  const dtypes = new Dictionary<string>((dtype) => dtype)
  const shapes = new Dictionary<readonly number[]>((shape) => shape.join())
  const shards = new Dictionary<string>((file) => file)
  const table = {
    names: [] as string[],
    bytes: [] as number[],
    dtypeOf: [] as number[],
    shapeOf: [] as number[],
    shardOf: [] as number[],
  }
  for (const { name, byteLength, dtype, shape, file } of tensors) {
    table.names.push(name)
    table.bytes.push(byteLength)
    table.dtypeOf.push(dtypes.indexOf(dtype))
    table.shapeOf.push(shapes.indexOf(shape))
    table.shardOf.push(shards.indexOf(basename(file)))
  }
  return { ...table, dtypes: dtypes.values, shapes: shapes.values, shards: shards.values }
}

/** Values in the order in which they first came, each once. */
class Dictionary<T> {
  readonly values: T[] = []
  readonly #places = new Map<string, number>()

  constructor(private readonly keyOf: (value: T) => string) {}

  indexOf(value: T): number {
    const key = this.keyOf(value)
    const known = this.#places.get(key)
    if (known !== undefined) return known
    this.#places.set(key, this.values.length)
    return this.values.push(value) - 1
  }
}
