import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { CachedDecoder } from '../../../../src/main/engine/generation/CachedDecoder'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { largestDifference, resultOf } from '../../../support/decoding'
import { changedModel, familyReference } from '../../../support/familyCases'
import type { FixtureTensor } from '../../../support/checkpoints'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const KERNEL = /conv\.conv\.weight$/

/** The first taps of each channel's kernel. */
function cut(tensor: FixtureTensor, taps: number): FixtureTensor {
  if (!KERNEL.test(tensor.name)) return tensor
  const [channels = 0, , all = 0] = tensor.shape
  const size = tensor.bytes.length / channels / all
  const bytes = Buffer.concat(
    Array.from({ length: channels }, (_, channel) =>
      tensor.bytes.subarray(channel * all * size, (channel * all + taps) * size),
    ),
  )
  return { ...tensor, shape: [channels, 1, taps], bytes }
}

test.each([1, 2, 4])(
  'with kernels of %i tokens, what is kept gives what is computed anew, from the first token on',
  async (taps) => {
    const folder = await changedModel('lfm2', {
      tensors: (tensors) => tensors.map((tensor) => cut(tensor, taps)),
      config: (config) => ({ ...config, conv_L_cache: taps }),
    })
    const checkpoint = await Checkpoint.open(folder)
    onTestFinished(() => checkpoint.close())
    const { signal } = new AbortController()
    const open = (): CachedDecoder => {
      const decoder = new CachedDecoder(checkpoint, runtime, signal, { isResident: true })
      onTestFinished(() => decoder.dispose())
      return decoder
    }
    const ids = Int32Array.from(familyReference('lfm2').ids.slice(0, 7))
    const whole = await resultOf(open().all(ids))
    const { hiddenSize } = checkpoint.config
    const decoder = open()
    for (const place of ids.keys()) {
      const last = await resultOf(decoder.last(ids.subarray(0, place + 1)))
      const expected = [...whole.subarray(place * hiddenSize, (place + 1) * hiddenSize)]
      expect(largestDifference(last, expected)).toBeLessThan(1e-5)
    }
  },
)
