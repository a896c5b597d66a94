/** @file What is checked of an exported checkpoint, by reading it again. */
import type { ExportCheck, ExportCheckId } from '@shared/exports'
import { AppError, toAppError } from '@shared/errors'
import type { ExportSpec } from '@shared/jobs'
import { METHOD_NAMES, methodNamed, METHODS } from '@shared/methods'
import { placeInLayers } from '../architectures/Architecture'
import { Checkpoint, type TensorInfo } from '../checkpoint/Checkpoint'
import { decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { ForwardPass } from '../decoder/ForwardPass'
import { logitsOf } from '../evaluation/scoring'
import { Runtime } from '../onnx/Runtime'
import type { ExportPlan } from './exportPlan'

const CHUNK_BYTES = 2 ** 22

/** Tokens of the forward pass: enough for attention to look back. */
const TOKENS = 16

/** Of the largest logit: what float32 sums may differ by in another order. */
const LOGIT_TOLERANCE = 1e-5

/** Titles of the methods whose grown models answer as the base does. */
const KEEPING = METHODS.filter((name) => methodNamed(name).keepsOutput)
  .map((name) => METHOD_NAMES[name])
  .join(' or ')

export interface Verification {
  readonly spec: ExportSpec
  readonly planned: ExportPlan
  readonly signal: AbortSignal
}

/** How far it is, in bytes read; the forward passes come after. */
export interface VerifyProgress {
  readonly done: number
  readonly total: number
}

/** Reads the exported folder again and answers every check, in the order of `EXPORT_CHECKS`. */
export async function* verifyExport(
  verification: Verification,
): AsyncGenerator<VerifyProgress, readonly ExportCheck[]> {
  const { spec } = verification
  let written: Checkpoint
  try {
    written = await Checkpoint.open(spec.out)
  } catch (error) {
    const reason = 'The folder could not be opened.'
    return [
      failed('reopened', toAppError(error).message),
      ...OTHERS.map((id) => skipped(id, reason)),
    ]
  }
  const base = await Checkpoint.open(spec.base).catch(() => null)
  try {
    const tensors = checkTensors(verification, written)
    const bytes = yield* checkBytes(verification, written, base)
    const forward = await checkForward(verification, written, base)
    return [
      passed(
        'reopened',
        written.shardCount === 1 ? '1 file opened.' : `${written.shardCount} files opened.`,
      ),
      tensors,
      ...bytes,
      ...forward,
    ]
  } finally {
    await written.close()
    await base?.close()
  }
}

const OTHERS: readonly ExportCheckId[] = [
  'tensors_complete',
  'originals_identical',
  'weights_finite',
  'forward_finite',
  'logits_equal_base',
]

function checkTensors({ planned }: Verification, written: Checkpoint): ExportCheck {
  const id = 'tensors_complete'
  const wrong = planned.layout.tensors.find(({ name, dtype, shape }) => {
    const found = written.tensors.get(name)
    return found?.dtype !== dtype || found.shape.join() !== shape.join()
  })
  const total = planned.layout.tensors.length
  if (wrong) return failed(id, `"${wrong.name}" is missing or has another shape or element type.`)
  const surplus = written.tensors.size - total
  if (surplus > 0) return failed(id, `${surplus} tensors are there that should not be.`)
  return passed(id, `${total} of ${total} tensors.`)
}

/** One pass over all bytes: compared with the base where they come from it, and looked through for NaN and infinity. */
async function* checkBytes(
  { planned, signal }: Verification,
  written: Checkpoint,
  base: Checkpoint | null,
): AsyncGenerator<VerifyProgress, ExportCheck[]> {
  const total = [...written.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
  const progress = { done: 0, total }
  const seen = { compared: 0, recast: 0, differing: null as string | null }
  let damaged: string | null = null
  for (const tensor of written.tensors.values()) {
    const origin = base && originOf(planned, written, base, tensor.name)
    const isComparable = origin?.dtype === tensor.dtype && origin.byteLength === tensor.byteLength
    if (origin && !isComparable) seen.recast += 1
    if (isComparable) seen.compared += 1
    for (let start = 0; start < tensor.byteLength; start += CHUNK_BYTES) {
      signal.throwIfAborted()
      const range = { start, end: Math.min(tensor.byteLength, start + CHUNK_BYTES) }
      const bytes = await written.readBytes(tensor.name, range)
      if (base && origin && isComparable) {
        const original = await base.readBytes(origin.name, range)
        if (Buffer.compare(bytes, original) !== 0) seen.differing ??= tensor.name
      }
      if (!isFinite(bytes, tensor.dtype)) damaged ??= tensor.name
      progress.done += range.end - range.start
      yield { ...progress }
    }
  }
  return [
    originals(seen, base !== null),
    damaged === null
      ? passed('weights_finite', 'Every weight is a finite number.')
      : failed('weights_finite', `"${damaged}" holds NaN or an infinity.`),
  ]
}

function originals(
  seen: { compared: number; recast: number; differing: string | null },
  hasBase: boolean,
): ExportCheck {
  const id = 'originals_identical'
  if (!hasBase) return skipped(id, 'The base model is not where it was.')
  if (seen.differing !== null) return failed(id, `"${seen.differing}" differs from the base model.`)
  if (seen.compared === 0) return skipped(id, 'The element type was changed.')
  const rest = seen.recast > 0 ? `; ${seen.recast} in another element type` : ''
  return passed(id, `${seen.compared} tensors equal the base model's, bit by bit${rest}.`)
}

/** The tensor of the base model that a tensor of the grown one is; `null` for a new one. */
function originOf(
  { growth, record, layout }: ExportPlan,
  { architecture }: Checkpoint,
  base: Checkpoint,
  name: string,
): TensorInfo | null {
  const place = placeInLayers(architecture, name)
  if (!place) {
    const { source } = layout.tensors.find((tensor) => tensor.name === name) ?? {}
    return source?.kind === 'by_layer' ? null : (base.tensors.get(name) ?? null)
  }
  const { suffix } = place
  if (isTrained(record, place.layer)) return null
  const layer = growth.layers[place.layer]
  const isTaken =
    layer?.kind === 'original' ||
    layer?.kind === 'copy' ||
    (layer?.kind === 'identity' &&
      !architecture.residualScales(base.config, layer.source).includes(suffix))
  return isTaken ? (base.tensors.get(base.layerTensorName(layer.source, suffix)) ?? null) : null
}

function isTrained({ trainings = [] }: ExportPlan['record'], layer: number): boolean {
  return trainings.some(({ trained_layers: layers }) => layers.includes(layer))
}

function isFinite(bytes: Uint8Array, dtype: string): boolean {
  if (!isTensorDtype(dtype)) return true
  return decodeToFloat32(bytes, dtype).every(Number.isFinite)
}

async function checkForward(
  { spec, planned, signal }: Verification,
  written: Checkpoint,
  base: Checkpoint | null,
): Promise<ExportCheck[]> {
  const equalId = 'logits_equal_base'
  const runtime = await Runtime.open('cpu')
  try {
    const logits = await fixedLogits(written, runtime, signal)
    const size = logits.length / TOKENS
    const finite = passed('forward_finite', `${TOKENS} positions, ${size} logits each, all finite.`)
    const { method, damp } = spec.grown.spec
    const factor = spec.grown.result.damping?.factor ?? damp
    if (!methodNamed(method.name).keepsOutput && factor !== 0) {
      return [finite, skipped(equalId, `Only ${KEEPING} leaves the model’s output as it was.`)]
    }
    if (!base) return [finite, skipped(equalId, 'The base model is not where it was.')]
    if ((planned.record.trainings ?? []).length > 0) {
      return [finite, skipped(equalId, 'Layers were trained since the model was grown.')]
    }
    if (dtypeOf(base) !== dtypeOf(written)) {
      return [finite, skipped(equalId, 'The element type was changed.')]
    }
    return [finite, compare(logits, await fixedLogits(base, runtime, signal))]
  } catch (thrown) {
    signal.throwIfAborted()
    const error = toAppError(thrown)
    const message = error.message
    // A decoder that cannot be evaluated here can still be grown.
    const state = error.code === 'unsupported_architecture' ? skipped : failed
    return [state('forward_finite', message), skipped(equalId, 'There was no forward pass.')]
  } finally {
    await runtime.dispose()
  }
}

function compare(logits: Float32Array, expected: Float32Array): ExportCheck {
  const id = 'logits_equal_base'
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const off = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0)
  const share = (off / Math.max(scale, Number.MIN_VALUE)).toExponential(1)
  return off <= LOGIT_TOLERANCE * scale
    ? passed(id, off === 0 ? 'Every logit is the base model’s.' : `Largest difference ${share}.`)
    : failed(id, `Logits differ from the base model's by up to ${share} of the largest.`)
}

/** Logits of a few fixed tokens. @throws AppError `numeric_failure` when one is not finite. */
async function fixedLogits(
  checkpoint: Checkpoint,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { vocabSize } = checkpoint.config
  const ids = Int32Array.from({ length: TOKENS }, (_, i) => (i * 7919 + 1) % vocabSize)
  const pass = new ForwardPass(checkpoint, runtime, signal)
  try {
    const logits = await logitsOf(pass, ids)
    if (logits.every(Number.isFinite)) return logits
    throw new AppError('numeric_failure', 'A forward pass gives logits that are not finite.')
  } finally {
    await pass.dispose()
  }
}

function dtypeOf({ architecture, tensors }: Checkpoint): string | undefined {
  return tensors.get(architecture.finalNorm)?.dtype
}

function passed(id: ExportCheckId, detail: string): ExportCheck {
  return { id, state: 'passed', detail }
}

function failed(id: ExportCheckId, detail: string): ExportCheck {
  return { id, state: 'failed', detail }
}

function skipped(id: ExportCheckId, detail: string): ExportCheck {
  return { id, state: 'skipped', detail }
}
