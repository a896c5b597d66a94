/** @file Small models of every family, made with transformers, and what it computes with them: `tests/fixtures/families`. */
import { readdirSync, readFileSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { decodeSafetensors, encodeSafetensors, type FixtureTensor } from './checkpoints'
import { tempFolder } from './tempFolder'

const FAMILIES = resolve(import.meta.dirname, '../fixtures/families')
const WRAPPERS = resolve(import.meta.dirname, '../fixtures/wrappers')

const foldersIn = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

/** By `model_type`. */
export const FAMILY_CASES = foldersIn(FAMILIES)

/** Further models that see, whose decoder is one of these; of them only likelihoods are kept. */
export const WRAPPER_CASES = foldersIn(WRAPPERS)

/** What `reference.json` holds; `make.py` of the families says how it came about. */
export interface FamilyReference {
  readonly ids: readonly number[]
  /** −ln p of each token but the first. */
  readonly nll: readonly number[]
  /** The base layer that each layer of the stacked model is. */
  readonly sources: readonly number[]
  /** Mean of −ln p in the stacked model. */
  readonly stacked: number
  readonly windows: readonly (readonly number[])[]
  readonly loss: number
  /** By the tensors' names, row-major. */
  readonly gradients: Readonly<
    Record<string, { readonly norm: number; readonly values: readonly number[] }>
  >
  /** How many of `ids` were continued. */
  readonly prompt: number
  readonly tokens: readonly number[]
}

function folderOf(name: string): string {
  return join(WRAPPER_CASES.includes(name) ? WRAPPERS : FAMILIES, name)
}

export function familyModel(name: string): string {
  return join(folderOf(name), 'model')
}

export function familyReference(name: string): FamilyReference {
  return JSON.parse(readFileSync(join(folderOf(name), 'reference.json'), 'utf8')) as FamilyReference
}

interface ModelChanges {
  readonly tensors?: (tensors: readonly FixtureTensor[]) => readonly FixtureTensor[]
  readonly config?: (config: Record<string, unknown>) => Record<string, unknown>
}

/** A copy of such a model with other tensors, or another config. */
export function changedModel(name: string, changes: ModelChanges): Promise<string> {
  return changedFolder(familyModel(name), changes)
}

/** The same of a checkpoint in one file. */
export async function changedFolder(from: string, changes: ModelChanges): Promise<string> {
  const folder = join(await tempFolder(), 'changed')
  await cp(from, folder, { recursive: true })
  const [weights, config] = [join(folder, 'model.safetensors'), join(folder, 'config.json')]
  if (changes.tensors) {
    const { tensors } = await decodeSafetensors(weights)
    await writeFile(weights, encodeSafetensors(changes.tensors(tensors)))
  }
  if (changes.config) {
    const raw = JSON.parse(await readFile(config, 'utf8')) as Record<string, unknown>
    await writeFile(config, JSON.stringify(changes.config(raw)))
  }
  return folder
}
