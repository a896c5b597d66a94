import { readFileSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DEMO_MODEL } from './oracle'
import { tempFolder } from './tempFolder'

/** What `tests/fixtures/verdict/pair.json` holds; sums are of each window. */
export interface PairReference {
  readonly what: string
  readonly theta: number
  readonly length: number
  readonly ids: readonly number[]
  readonly base_nll: readonly number[]
  readonly model_nll: readonly number[]
  readonly kl: readonly number[]
  readonly agreed: readonly number[]
  readonly per_token: { readonly kl: number; readonly top1_agreement: number }
  readonly difference: { readonly mean: number; readonly low: number; readonly high: number }
}

export const pairReference = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../fixtures/verdict/pair.json'), 'utf8'),
) as PairReference

export function windowsOf({ ids, length }: PairReference): Int32Array[] {
  return Array.from({ length: ids.length / length }, (_, index) =>
    Int32Array.from(ids.slice(index * length, (index + 1) * length)),
  )
}

/** The demo model's weights with the reference's other rotary base. */
export async function otherTheta(): Promise<string> {
  const dir = join(await tempFolder(), 'other-theta')
  await cp(DEMO_MODEL, dir, { recursive: true })
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8')) as object
  const changed = { ...config, rope_theta: pairReference.theta }
  await writeFile(join(dir, 'config.json'), JSON.stringify(changed))
  return dir
}
