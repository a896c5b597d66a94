/** @file What a continuation of a text can be asked for, without schemas. */
import type { Bounds } from './bounds'

/** What a continuation can be asked for; the window's form and the command line have these. */
export const GENERATION = {
  models: { min: 1, max: 8, isWhole: true },
  /** Characters: some thousands of tokens. */
  prompt: { min: 1, max: 32_000, isWhole: true },
  tokens: { min: 1, max: 1_024, isWhole: true },
  temperature: { min: 0, max: 10 },
  topK: { min: 1, max: 1_000_000, isWhole: true },
  topP: { min: 0, max: 1, excludes: 'min' },
} as const satisfies Record<string, Bounds>

/** Where nobody says. */
export const GENERATION_DEFAULTS = { tokens: 48, temperature: 0, seed: 0 } as const
