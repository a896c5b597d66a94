import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { TargetScores } from '../../../../src/main/engine/decoder/head'
import { OutputHead } from '../../../../src/main/engine/decoder/OutputHead'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { seededFloats } from '../../../support/random'
import { tempFolder } from '../../../support/tempFolder'

const [HIDDEN, VOCAB, POSITIONS] = [32, 64, 70]

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** @param rows Of the vocabulary at once. */
async function open(rows: number, logits = 2 ** 20, tieWordEmbeddings = false) {
  const dir = join(await tempFolder(), 'model')
  const checkpoint = await Checkpoint.open(await writeTinyCheckpoint({ dir, tieWordEmbeddings }))
  onTestFinished(() => checkpoint.close())
  const limits = { matrixElements: rows * HIDDEN, logits }
  const head = new OutputHead(checkpoint, runtime, new AbortController().signal, limits)
  onTestFinished(() => head.dispose())
  return { head, checkpoint }
}

const hidden = seededFloats(POSITIONS * HIDDEN, 1)
const targets = Int32Array.from({ length: POSITIONS }, (_, i) =>
  i % 9 === 8 ? -1 : (i * 7) % VOCAB,
)

/** −ln p of every target from the logits themselves, in float64. */
function fromLogits(logits: Float32Array): number[] {
  return [...targets].map((target, row) => {
    const here = Array.from(logits.subarray(row * VOCAB, (row + 1) * VOCAB))
    const largest = Math.max(...here)
    const sum = here.reduce((total, value) => total + Math.exp(value - largest), 0)
    return largest + Math.log(sum) - (here[target] ?? NaN)
  })
}

test('the logits are the normalised states times the matrix', async () => {
  const { head, checkpoint } = await open(10)
  const norm = await checkpoint.readFloat32('model.norm.weight')
  const matrix = await checkpoint.readFloat32('lm_head.weight')
  const logits = await head.logits(hidden)
  expect(logits).toHaveLength(POSITIONS * VOCAB)
  for (const [row, token] of [
    [0, 0],
    [3, 9],
    [3, 10],
    [POSITIONS - 1, VOCAB - 1],
  ] as const) {
    const x = hidden.subarray(row * HIDDEN, (row + 1) * HIDDEN)
    const size = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / HIDDEN + 1e-5)
    const expected = x.reduce(
      (sum, value, k) =>
        sum + (value / size) * (norm[k] ?? NaN) * (matrix[token * HIDDEN + k] ?? NaN),
      0,
    )
    expect(logits[row * VOCAB + token]).toBeCloseTo(expected, 5)
  }
})

describe.each([
  ['all rows at once', VOCAB, 2 ** 20, 1],
  ['tiles, the last one smaller', 10, 2 ** 20, 7],
  ['few positions at a time', VOCAB, 1, 3],
  ['both', 10, 1, 7 * 3],
])('%s', (_, rows, logits, runs) => {
  test('targets score as their logits say, and runs are counted before', async () => {
    const { head } = await open(rows, logits)
    const scores = new TargetScores(POSITIONS)
    let count = 0
    for await (const _run of head.score([{ hidden, targets, scores }])) count += 1
    expect(count).toBe(runs)
    expect(head.runsFor(POSITIONS)).toBe(runs)
    fromLogits(await head.logits(hidden)).forEach((nll, position) => {
      if (targets[position] !== -1) expect(scores.nll(position)).toBeCloseTo(nll, 5)
    })
  })
})

test('a tied model takes its embeddings', async () => {
  const { head } = await open(VOCAB, 2 ** 20, true)
  expect(head.matrix.name).toBe('model.embed_tokens.weight')
})
