/** @file What a checkpoint makes of a text, in tests that have a runtime. */
import { onTestFinished } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass } from '../../src/main/engine/decoder/ForwardPass'
import { scoreSequences } from '../../src/main/engine/evaluation/scoring'
import type { Runtime } from '../../src/main/engine/onnx/Runtime'
import { resultOf } from './decoding'

/** The checkpoint, until the test ends. */
export async function openForTest(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

/** −ln p of each token but the first. */
export async function lossesOf(
  runtime: Runtime,
  folder: string,
  ids: readonly number[],
): Promise<readonly number[]> {
  const pass = new ForwardPass(await openForTest(folder), runtime, new AbortController().signal)
  onTestFinished(() => pass.dispose())
  const [score] = await resultOf(scoreSequences(pass, [Int32Array.from(ids)]))
  return [...(score?.losses ?? [])]
}
