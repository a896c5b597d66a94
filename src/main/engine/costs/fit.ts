/** @file What fitting new layers to a text will cost, beside writing them. */
import type { EstimateItem } from '@shared/estimate'
import type { ExpandSpec } from '@shared/jobs'
import type { Device } from '@shared/devices'
import { checkTexts } from '../corpus/textFiles'
import { fitSize, type FitRequest } from '../fitting/fittedStart'
import { planStream, type StreamPlan } from '../fitting/memory'
import { roundWork, unseenWork } from '../fitting/work'
import { mostOf, type ArrayNeed } from '../lib/arrays'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { secondsOf, type Rates } from './cost'
import { sampleText } from './textSample'
import { trialOf } from './trainingTrial'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

export interface FitCost {
  readonly device: Device
  readonly seconds: readonly EstimateItem[]
  readonly hostBytes: readonly EstimateItem[]
  readonly deviceBytes: number | null
  /** Of files beside the output. */
  readonly diskBytes: readonly EstimateItem[]
  readonly leastMemory: number
  readonly arrays: ArrayNeed
}

/** @throws AppError what the job itself would throw before it begins. */
export async function fitCost(
  { device: asked }: Pick<ExpandSpec, 'device'>,
  request: FitRequest,
  rates: Rates,
): Promise<FitCost> {
  const { checkpoint, calibration, layers, rounds } = request
  const { device } = await chooseDevice(asked)
  const runtime = await Runtime.open(device)
  try {
    const size = fitSize(request)
    const { windows, plan } = planned(request, size, runtime)
    const paths = [
      calibration.text,
      ...(calibration.oldText === undefined ? [] : [calibration.oldText]),
    ]
    const { textBytes } = await checkTexts(paths)
    const text = await sampleText(rates.calibration, checkpoint, { paths, field: 'text' })
    const trial = trialOf(checkpoint, {
      ...plan.training,
      context: size.context,
      windows: plan.training.microBatch,
    })
    const own: Rates = {
      ...rates,
      runtime,
      text: text.rate,
      training: await rates.calibration.trainingRates(runtime, trial),
    }
    const { hiddenSize, intermediateSize, numAttentionHeads, headDim } = checkpoint.config
    const widest = Math.max(intermediateSize, numAttentionHeads * headDim)
    const outputs =
      FLOAT * layers.length * hiddenSize * (intermediateSize + numAttentionHeads * headDim)
    const item = async (label: string, work: Parameters<typeof secondsOf>[0], times = 1) => ({
      label,
      value: times * (await secondsOf(work, own)),
    })
    return {
      device,
      seconds: [
        await item('tokenise the text', { tokenised: textBytes }),
        await item('fit the new layers', roundWork(checkpoint, size), rounds),
        await item('measure what was not fitted to', unseenWork(checkpoint, size)),
      ],
      hostBytes: plan.hostBytes,
      deviceBytes: runtime.placement.isHost ? null : plan.training.deviceBytes,
      diskBytes: [
        { label: 'directions and fitted matrices', value: (1 + rounds) * outputs },
        { label: 'hidden states that do not fit into memory', value: plan.scratchBytes },
      ].filter(({ value }) => value > 0),
      leastMemory: plan.leastBytes,
      arrays: mostOf([
        {
          largest: FLOAT * Math.max(widest ** 2, windows * size.context * hiddenSize),
          together: plan.leastBytes,
        },
      ]),
    }
  } finally {
    await runtime.dispose()
  }
}

/** Of a bound that is too small the estimate tells, which is then made for the smallest one that is not. */
function planned(
  { checkpoint, layers, memoryBytes, deviceMemoryBytes }: FitRequest,
  { context, fit, search, unseen }: ReturnType<typeof fitSize>,
  { placement }: Runtime,
): { readonly windows: number; readonly plan: StreamPlan } {
  const windows = Math.max(fit, search, unseen)
  const lowest = layers[0] ?? 0
  const common = { context, windows, lowest, placement, deviceMemoryBytes, what: 'fit' }
  const { leastBytes } = planStream(checkpoint, common)
  const bound = memoryBytes === undefined ? {} : { memoryBytes: Math.max(memoryBytes, leastBytes) }
  return { windows, plan: planStream(checkpoint, { ...common, ...bound }) }
}
