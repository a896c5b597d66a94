/** @file The losses of the model that others were grown from: the yardstick of a training. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Device } from '@shared/devices'
import type { JobEvent } from '@shared/jobs'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { ForwardPass } from '../decoder/ForwardPass'
import { scoreSequences } from '../evaluation/scoring'
import { mapEvents } from '../lib/reporting'
import type { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { Material, Measured } from './material'

const lossesSchema = z.object({ eval: z.number().nullable(), forgetting: z.number().nullable() })
export type BaseLosses = z.infer<typeof lossesSchema>

const STAGE = 'base'
const FILE = 'losses.json'

export interface BaseRequest {
  readonly base: Checkpoint
  readonly material: Pick<Material, 'eval' | 'forgetting'>
  readonly runtime: Runtime
  readonly device: Device
  readonly store: StageStore
  readonly signal: AbortSignal
  /** The job's step that tells how far it is. */
  readonly step: string
}

/**
 * Measures the base, or finds what was measured before.
 *
 * @throws AppError `numeric_failure` where it computes what is not finite.
 */
export async function* measureBase(request: BaseRequest): AsyncGenerator<JobEvent, BaseLosses> {
  const { base, material, device, store, step } = request
  const key = {
    model: await base.fingerprint(),
    device,
    eval: material.eval?.key ?? null,
    forgetting: material.forgetting?.key ?? null,
  }
  const found = await store.find(STAGE, key)
  if (found && !('damage' in found)) {
    const losses = lossesSchema.parse(JSON.parse(await readFile(join(found.folder, FILE), 'utf8')))
    yield { type: 'step', id: step, done: 1, total: 1, kept: null }
    return losses
  }
  const texts = [material.eval, material.forgetting]
  const whole = texts.filter((text) => text !== null).length
  let done = 0
  const lossOn = async function* (text: Measured | null): AsyncGenerator<JobEvent, number | null> {
    if (!text) return null
    const loss = yield* meanLoss(request, text, (share) => ({
      type: 'step',
      id: step,
      done: done + share,
      total: whole,
    }))
    done += 1
    return loss
  }
  const losses = {
    eval: yield* lossOn(material.eval),
    forgetting: yield* lossOn(material.forgetting),
  }
  await base.assertUnchanged()
  const draft = await store.begin(STAGE, key)
  try {
    await writeFile(join(draft.folder, FILE), JSON.stringify(losses))
    await draft.commit()
  } finally {
    await draft.discard()
  }
  return losses
}

async function* meanLoss(
  { base, runtime, signal }: BaseRequest,
  { windows }: Measured,
  report: (share: number) => JobEvent,
): AsyncGenerator<JobEvent, number> {
  const pass = new ForwardPass(base, runtime, signal)
  try {
    const scores = yield* mapEvents(scoreSequences(pass, windows), ({ stage, done, total }) =>
      report((stage === 'layers' ? done / total : 1 + done / total) / 2),
    )
    let [sum, count] = [0, 0]
    for (const { losses } of scores) {
      sum += losses.reduce((total, loss) => total + loss, 0)
      count += losses.length
    }
    return sum / count
  } finally {
    await pass.dispose()
  }
}
