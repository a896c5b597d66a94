import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf, floatsOf } from '../matrix'
import { CoordinateStore } from './CoordinateStore'
import type { Decomposition } from './decompose'

const metaSchema = z.object({
  layerCount: z.int(),
  rows: z.int(),
  rank: z.int(),
  storedRank: z.int(),
  width: z.int(),
  hasBasis: z.boolean(),
  /** Rows in the file still have to be divided by their singular values. */
  scaleOnRead: z.boolean(),
})

/** The coordinate file of a stored decomposition, which a store may also write directly. */
export const coordinateFile = (folder: string): string => join(folder, 'coordinates.f32')

/** Keeps a decomposition in a folder. Coordinates that already lie there (a store in a file) are not written again. */
export async function saveDecomposition(folder: string, result: Decomposition): Promise<void> {
  const { basis, singularValues, coordinates } = result
  if (coordinates.path === null) await coordinates.save(coordinateFile(folder))
  if (basis) await writeFile(join(folder, 'basis.f32'), bytesOf(basis))
  if (singularValues) await writeFile(join(folder, 'singular_values.f32'), bytesOf(singularValues))
  const meta: z.infer<typeof metaSchema> = {
    layerCount: coordinates.layerCount,
    rows: result.rows,
    rank: result.rank,
    storedRank: coordinates.path === null ? coordinates.rank : coordinates.storedRank,
    width: coordinates.width,
    hasBasis: basis !== null,
    scaleOnRead: coordinates.path !== null && basis !== null,
  }
  await writeFile(join(folder, 'decomposition.json'), JSON.stringify(meta))
}

/** Opens a decomposition that {@link saveDecomposition} kept; coordinates are read into memory when `inMemory`. */
export async function loadDecomposition(folder: string, inMemory: boolean): Promise<Decomposition> {
  const text = await readFile(join(folder, 'decomposition.json'), 'utf8')
  const meta = metaSchema.parse(JSON.parse(text))
  const singularValues = meta.hasBasis
    ? floatsOf(await readFile(join(folder, 'singular_values.f32')))
    : null
  const coordinates = CoordinateStore.openFile(
    coordinateFile(folder),
    meta.layerCount,
    meta.storedRank,
    meta.width,
  )
  coordinates.truncate(meta.rank)
  if (meta.scaleOnRead && singularValues) {
    coordinates.setRowScale(singularValues.map((sigma) => (sigma > 0 ? 1 / sigma : 0)))
  }
  return {
    basis: meta.hasBasis ? floatsOf(await readFile(join(folder, 'basis.f32'))) : null,
    singularValues,
    rows: meta.rows,
    rank: meta.rank,
    coordinates: inMemory ? coordinates.intoMemory() : coordinates,
  }
}
