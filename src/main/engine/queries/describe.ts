import { basename, join } from 'node:path'
import { AppError } from '@shared/errors'
import type { ModelConfigText } from '@shared/model'
import type { TensorTable } from '@shared/statistics'
import { Checkpoint, MAX_CONFIG_BYTES, type TensorInfo } from '../checkpoint/Checkpoint'
import { boundedRead } from '@system/boundedRead'
import { JsonProblem, parseLenientJson, stringifyPython } from '../checkpoint/json'

/**
 * A checkpoint's `config.json`. The weights are not looked at.
 *
 * @throws AppError `not_found`, `path_denied`, `bad_checkpoint`.
 */
export async function readConfigText(folder: string): Promise<ModelConfigText> {
  const file = join(folder, 'config.json')
  const bytes = await boundedRead(file, MAX_CONFIG_BYTES, 'bad_checkpoint')
  const config = parseConfigFile(file, bytes)
  const entries = Object.entries(config).map(([key, value]) => ({
    key,
    value: stringifyPython(value),
  }))
  return { text: new TextDecoder().decode(bytes), entries }
}

function parseConfigFile(file: string, bytes: Uint8Array): object {
  try {
    const config = parseLenientJson(bytes).value
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config
  } catch (error) {
    if (error instanceof JsonProblem) throw bad(file, error.message)
    throw error
  }
  throw bad(file, 'not a JSON object')
}

function bad(file: string, actual: string): AppError {
  return new AppError('bad_checkpoint', `${file} cannot be read: ${actual}.`, {
    context: { file, actual },
  })
}

/** Every tensor of a checkpoint of any architecture, column by column, in the order of a state dict. */
export async function tensorTable(folder: string): Promise<TensorTable> {
  return tabulate(await Checkpoint.listTensors(folder))
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
