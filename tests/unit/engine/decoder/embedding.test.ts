import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { embed } from '../../../../src/main/engine/decoder/embedding'
import { VocabularyMatrix } from '../../../../src/main/engine/decoder/VocabularyMatrix'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

const HIDDEN = 32
const signal = new AbortController().signal

async function open(): Promise<Checkpoint> {
  const dir = join(await tempFolder(), 'model')
  const checkpoint = await Checkpoint.open(await writeTinyCheckpoint({ dir, hidden: HIDDEN }))
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

const matrixOf = (checkpoint: Checkpoint, rows: number): VocabularyMatrix =>
  new VocabularyMatrix(checkpoint, 'model.embed_tokens.weight', rows * HIDDEN)

const BATCHES = [
  { length: 5, sequences: [Int32Array.of(63, 0, 17), Int32Array.of(9, 9)], indices: [0, 1] },
  { length: 2, sequences: [Int32Array.of(31, 32)], indices: [2] },
]

test.each([1, 10, 64])(
  'tokens get their rows and padding zeros, %i rows at a time',
  async (rows) => {
    const checkpoint = await open()
    const table = await checkpoint.readFloat32('model.embed_tokens.weight')
    const states = await embed(checkpoint.config, matrixOf(checkpoint, rows), BATCHES, signal)
    expect(states.map(({ length }) => length)).toEqual([2 * 5 * HIDDEN, 2 * HIDDEN])
    BATCHES.forEach(({ length, sequences }, batch) => {
      sequences.forEach((ids, row) => {
        for (let column = 0; column < length; column += 1) {
          const at = (row * length + column) * HIDDEN
          const id = ids[column]
          const expected =
            id === undefined
              ? new Float32Array(HIDDEN)
              : table.subarray(id * HIDDEN, (id + 1) * HIDDEN)
          expect(states[batch]?.subarray(at, at + HIDDEN)).toEqual(expected)
        }
      })
    })
  },
)

test('parts that no token needs are not read', async () => {
  const checkpoint = await open()
  const read = vi.spyOn(checkpoint, 'readFloat32')
  await embed(checkpoint.config, matrixOf(checkpoint, 16), [BATCHES[1]!], signal)
  expect(read.mock.calls.map(([, options]) => options?.rows)).toEqual([
    [16, 32],
    [32, 48],
  ])
})
