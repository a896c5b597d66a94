import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass, type ForwardLimits } from '../../../../src/main/engine/decoder/ForwardPass'
import {
  logitsOf,
  scoreSequences,
  type ScoringProgress,
  type SequenceScore,
} from '../../../../src/main/engine/evaluation/scoring'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { LOGIT_CASES, logitReference } from '../../../support/logitCases'
import { oracle, DEMO_MODEL } from '../../../support/oracle'
import { tempFolder } from '../../../support/tempFolder'
import { loadTokenizer } from '../../../../src/main/engine/evaluation/tokenizer'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

async function open(folder: string, limits: Partial<ForwardLimits> = {}): Promise<ForwardPass> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  const pass = new ForwardPass(checkpoint, runtime, new AbortController().signal, limits)
  onTestFinished(() => pass.dispose())
  return pass
}

async function tiny(options: Omit<TinyCheckpointOptions, 'dir'>): Promise<string> {
  return writeTinyCheckpoint({ ...options, dir: join(await tempFolder(), 'model') })
}

async function score(
  pass: ForwardPass,
  sequences: readonly Int32Array[],
  onProgress: (progress: ScoringProgress) => void = () => undefined,
): Promise<readonly SequenceScore[]> {
  const run = scoreSequences(pass, sequences)
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    onProgress(next.value)
  }
}

function sum(score: SequenceScore | undefined): number {
  return score?.losses.reduce((total, loss) => total + loss, 0) ?? NaN
}

describe.each(Object.keys(LOGIT_CASES))('%s agrees with transformers', (name) => {
  const options = LOGIT_CASES[name] ?? {}
  const reference = logitReference(name)
  const ids = Int32Array.from(reference.ids)

  test('in its logits', async () => {
    const pass = await open(await tiny(options))
    expect(await worstLogit(pass)).toBeLessThan(1e-5)
  })

  test("in every token's likelihood", async () => {
    const pass = await open(await tiny(options))
    const [whole] = await score(pass, [ids])
    const total = reference.nll.reduce((sum, value) => sum + value, 0)
    expect(whole?.losses).toHaveLength(reference.nll.length)
    expect(sum(whole)).toBeCloseTo(total, 3)
    const [first] = await score(pass, [ids.subarray(0, 2)])
    expect(sum(first)).toBeCloseTo(reference.nll[0] ?? NaN, 5)
  })

  test('only with what makes it special', async () => {
    const plain = { rope_scaling: null, rope_parameters: null, use_sliding_window: false }
    const without = {
      ...plain,
      sliding_window: null,
      hidden_act: 'silu',
      partial_rotary_factor: undefined,
    }
    const pass = await open(await tiny({ ...options, config: { ...options.config, ...without } }))
    expect(await worstLogit(pass)).toBeGreaterThan(1e-3)
  })

  async function worstLogit(pass: ForwardPass): Promise<number> {
    const logits = await logitsOf(pass, ids)
    const vocab = logits.length / ids.length
    return reference.positions.reduce((worst, position, row) => {
      const here = logits.subarray(position * vocab, (position + 1) * vocab)
      return here.reduce(
        (max, value, k) => Math.max(max, Math.abs(value - (reference.logits[row]?.[k] ?? NaN))),
        worst,
      )
    }, 0)
  }
})

test("the demo model's logits are the oracle's", async () => {
  const pass = await open(DEMO_MODEL)
  const text = await readFile(join(DEMO_MODEL, 'eval.txt'), 'utf8')
  const [all] = (await (await loadTokenizer(DEMO_MODEL)).encode([text])).ids
  const ids = all?.subarray(0, 48) ?? new Int32Array(0)
  const last = (await logitsOf(pass, ids)).subarray(47 * 512)
  expect(last).toHaveLength(oracle.logits_first48_last_position.length)
  oracle.logits_first48_last_position.forEach((value, index) => {
    // The oracle keeps seven digits.
    expect(Math.abs((last[index] ?? NaN) - value)).toBeLessThan(2e-5)
  })
})

describe('memory limits change nothing but memory', () => {
  const sequences = [9, 40, 3, 40, 17].map((length, sequence) =>
    Int32Array.from({ length }, (_, index) => (index * 7 + sequence * 13) % 64),
  )

  test.each([
    ['the vocabulary in parts', { matrixElements: 32 * 10 }],
    ['one sequence at a time', { batchPositions: 1 }],
    ['a pass over the weights for each batch', { batchPositions: 40, hiddenBytes: 1 }],
    ['few logits at a time', { logits: 1 }],
  ])('%s', async (_, limits) => {
    const folder = await tiny({ architecture: 'qwen2', tieWordEmbeddings: true })
    const expected = await score(await open(folder), sequences)
    const actual = await score(await open(folder, limits), sequences)
    expect(expected.map(({ losses }) => losses.length)).toEqual([8, 39, 2, 39, 16])
    actual.forEach((each, index) => {
      expect(each.losses).toHaveLength(expected[index]?.losses.length ?? NaN)
      expect(sum(each)).toBeCloseTo(sum(expected[index]), 4)
    })
  })

  test('twice the same is the same to the last bit', async () => {
    const folder = await tiny({})
    const [first, second] = [
      await score(await open(folder), sequences),
      await score(await open(folder), sequences),
    ]
    expect(second).toEqual(first)
  })
})

test('progress counts up to totals that it names from the start', async () => {
  const pass = await open(await tiny({ layers: 3 }), { batchPositions: 16, hiddenBytes: 1 })
  const seen: ScoringProgress[] = []
  await score(
    pass,
    [Int32Array.of(1, 2, 3), Int32Array.from({ length: 20 }, (_, i) => i)],
    (each) => seen.push(each),
  )
  for (const stage of ['layers', 'head'] as const) {
    const steps = seen.filter((each) => each.stage === stage)
    const total = stage === 'layers' ? 6 : 2
    expect(steps.map(({ done }) => done)).toEqual(Array.from({ length: total }, (_, i) => i + 1))
    expect(steps.every((each) => each.total === total)).toBe(true)
  }
})

test.each(['rope-dynamic', 'rope-longrope-long'])(
  '%s: a sequence has the positions of its own length, whatever stands beside it',
  async (name) => {
    const folder = await tiny(LOGIT_CASES[name] ?? {})
    const sequences = [30, 64, 65, 66, 100, 65].map((length, sequence) =>
      Int32Array.from({ length }, (_, index) => (index * 7 + sequence * 13) % 64),
    )
    const together = await score(await open(folder), sequences)
    for (const [index, sequence] of sequences.entries()) {
      const [alone] = await score(await open(folder), [sequence])
      expect(sum(together[index])).toBeCloseTo(sum(alone), 3)
    }
  },
)

describe('failures', () => {
  async function withNaN(tensor: string): Promise<string> {
    const folder = await tiny({ dtype: 'F32' })
    const file = join(folder, 'model.safetensors')
    const bytes = await readFile(file)
    const length = Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >
    bytes.writeFloatLE(NaN, 8 + length + (header[tensor]?.data_offsets[0] ?? NaN))
    await writeFile(file, bytes)
    return folder
  }
  const ids = [Int32Array.of(1, 2, 3, 4)]

  test('name the layer whose values are not finite', async () => {
    const pass = await open(await withNaN('model.layers.2.mlp.down_proj.weight'))
    await expect(score(pass, ids)).rejects.toThrow(
      expect.objectContaining({
        code: 'numeric_failure',
        message: expect.stringContaining('Layer 2') as unknown,
        context: expect.objectContaining({ stage: 'layer 2' }) as unknown,
      }),
    )
  })

  test('name the output matrix', async () => {
    const pass = await open(await withNaN('lm_head.weight'))
    await expect(score(pass, ids)).rejects.toThrow(
      expect.objectContaining({
        code: 'numeric_failure',
        context: expect.objectContaining({ tensor: 'lm_head.weight' }) as unknown,
      }),
    )
  })

  test('refuse rotary positions that are not known before reading weights', async () => {
    const folder = await tiny({
      config: { rope_scaling: { rope_type: 'proportional', factor: 2 } },
    })
    await expect(open(folder)).rejects.toThrow(
      expect.objectContaining({ code: 'unsupported_architecture' }),
    )
  })

  test('a cancel ends it between two runs', async () => {
    const checkpoint = await Checkpoint.open(await tiny({}))
    onTestFinished(() => checkpoint.close())
    const controller = new AbortController()
    const pass = new ForwardPass(checkpoint, runtime, controller.signal)
    const run = scoreSequences(pass, ids)
    expect((await run.next()).done).toBe(false)
    controller.abort()
    await expect(run.next()).rejects.toBe(controller.signal.reason)
    await pass.dispose()
  })
})
