import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { Calibration } from '../../../../src/main/engine/costs/calibration'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import {
  decodeSafetensors,
  encodeSafetensors,
  writeTinyCheckpoint,
} from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

const HIDDEN = 32

let folder: string
let speedFile: string
beforeEach(async () => {
  folder = await tempFolder()
  speedFile = join(folder, 'speed.json')
})

const figures = async (): Promise<readonly string[]> =>
  Object.keys(
    (JSON.parse(await readFile(speedFile, 'utf8')) as { figures: Record<string, unknown> }).figures,
  )

test('an eigenproblem is timed at two sizes for a large one, at the smaller for a small one', async () => {
  const runtime = await Runtime.open('cpu')
  const calibration = await Calibration.open(speedFile)
  const rows = [128, 512, 1536, 4096]
  const seconds: number[] = []
  for (const n of rows) {
    seconds.push(await calibration.eigenSeconds(runtime, n))
    await calibration.save()
    const names = (await figures()).map((name) => name.split('/').slice(1).join('/'))
    expect(names).toEqual(n <= 512 ? ['eigen/512'] : ['eigen/512', 'eigen/1536'])
  }
  expect(seconds[0]).toBeCloseTo(seconds[1]! / 16, 9)
  expect(seconds[3]).toBeGreaterThan(seconds[2]!)
  await runtime.dispose()
})

describe('the speed of a disk', () => {
  const opened: Checkpoint[] = []
  afterEach(async () => {
    for (const checkpoint of opened.splice(0)) await checkpoint.close()
  })

  /** A checkpoint, its embedding of so many tokens, all zero. */
  async function model(vocab: number): Promise<Checkpoint> {
    const config = { vocab_size: vocab }
    const dir = join(folder, `model-${vocab}`)
    await writeTinyCheckpoint({ dir, hidden: HIDDEN, tieWordEmbeddings: true, config })
    const file = join(dir, 'model.safetensors')
    const { tensors } = await decodeSafetensors(file)
    const changed = tensors.map((tensor) =>
      tensor.name === 'model.embed_tokens.weight'
        ? { ...tensor, shape: [vocab, HIDDEN], bytes: new Uint8Array(2 * vocab * HIDDEN) }
        : tensor,
    )
    await writeFile(file, encodeSafetensors(changed))
    const checkpoint = await Checkpoint.open(dir)
    opened.push(checkpoint)
    return checkpoint
  }

  async function ask(checkpoint: Checkpoint): Promise<readonly number[]> {
    const calibration = await Calibration.open(speedFile)
    const rates = [
      await calibration.readRate(checkpoint),
      await calibration.copyRate(checkpoint, join(folder, 'new', 'out')),
    ]
    await calibration.save()
    return rates
  }

  it('is timed with a model large enough, which leaves nothing behind, and then known of all', async () => {
    const large = await model(3_000_000)
    const before = await readdir(folder)
    const rates = await ask(large)
    for (const rate of rates) expect(rate).toBeGreaterThan(0)
    expect(await figures()).toEqual([
      expect.stringMatching(/^read\/\d+$/),
      expect.stringMatching(/^copy\/\d+\/\d+$/),
    ])
    expect(await readdir(folder)).toEqual([...before, 'speed.json'])
    expect(await ask(await model(64))).toEqual(rates)
  })

  it('is an ordinary one’s for a small model, which is not read until it would be', async () => {
    expect(await ask(await model(64))).toEqual([800e6, 400e6])
    expect(await figures()).toEqual([])
  })
})
