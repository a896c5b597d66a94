/** @file Small models of every family, made with transformers, and what it computes with them: `tests/fixtures/families`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const FOLDER = resolve(import.meta.dirname, '../fixtures/families')

/** By `model_type`. */
export const FAMILY_CASES: readonly string[] = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

/** What `reference.json` holds; `make.py` beside it says how it came about. */
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

export function familyModel(name: string): string {
  return join(FOLDER, name, 'model')
}

export function familyReference(name: string): FamilyReference {
  return JSON.parse(readFileSync(join(FOLDER, name, 'reference.json'), 'utf8')) as FamilyReference
}
