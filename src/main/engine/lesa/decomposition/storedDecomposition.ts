import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf, floatsOf } from '../../lib/matrix'
import { collectGarbage } from '../../onnx/hostMemory'
import { CoordinateStore, PRECISIONS } from './CoordinateStore'
import type { Decomposition } from './decompose'

const metaSchema = z.object({
  layerCount: z.int(),
  rows: z.int(),
  rank: z.int(),
  storedRank: z.int(),
  width: z.int(),
  precision: z.enum(PRECISIONS),
  hasBasis: z.boolean(),
})

/** The coordinate file of a stored decomposition, which a store may also write directly. */
export const coordinateFile = (folder: string): string => join(folder, 'coordinates.bin')

/** Keeps a decomposition in a folder. Coordinates that already lie there (a store in a file) are not written again. */
export async function saveDecomposition(folder: string, result: Decomposition): Promise<void> {
  const { basis, singularValues, coordinates } = result
  if (coordinates.path === null) await coordinates.save(coordinateFile(folder))
  await writeFile(join(folder, 'scales.f32'), bytesOf(coordinates.scales))
  if (basis) await writeFile(join(folder, 'basis.f32'), bytesOf(basis))
  if (singularValues) await writeFile(join(folder, 'singular_values.f32'), bytesOf(singularValues))
  const meta: z.infer<typeof metaSchema> = {
    layerCount: coordinates.layerCount,
    rows: result.rows,
    rank: result.rank,
    storedRank: coordinates.storedRank,
    width: coordinates.width,
    precision: coordinates.precision,
    hasBasis: basis !== null,
  }
  await writeFile(join(folder, 'decomposition.json'), JSON.stringify(meta))
}

/** Opens a decomposition that {@link saveDecomposition} kept; coordinates are read into memory when `inMemory`. */
export async function loadDecomposition(folder: string, inMemory: boolean): Promise<Decomposition> {
  collectGarbage()
  const text = await readFile(join(folder, 'decomposition.json'), 'utf8')
  const meta = metaSchema.parse(JSON.parse(text))
  const { layerCount, storedRank: rank, width, precision } = meta
  const coordinates = CoordinateStore.openFile(
    coordinateFile(folder),
    { layerCount, rank, width, precision },
    floatsOf(await readFile(join(folder, 'scales.f32'))),
  )
  coordinates.truncate(meta.rank)
  return {
    basis: meta.hasBasis ? floatsOf(await readFile(join(folder, 'basis.f32'))) : null,
    singularValues: meta.hasBasis
      ? floatsOf(await readFile(join(folder, 'singular_values.f32')))
      : null,
    rows: meta.rows,
    rank: meta.rank,
    coordinates: inMemory ? coordinates.intoMemory() : coordinates,
  }
}
