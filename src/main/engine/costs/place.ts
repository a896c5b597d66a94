/** @file What measuring places will cost. */
import type { EstimateRequest } from '@shared/engineProtocol'
import type { PlaceSpec } from '@shared/jobs'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { checkTexts } from '../corpus/textFiles'
import { checkForwardPass } from '../decoder/ForwardPass'
import { requireFittable } from '../fitting/fittable'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { directionBytes } from '../places/measurePlaces'
import {
  placeWork,
  planPlaces,
  sampleBytes,
  windowsAtMost,
  type PlaceWindows,
} from '../places/work'
import type { Calibration } from './calibration'
import { secondsOf, type Cost, type Rates } from './cost'
import { sampleText } from './textSample'
import { trialOf } from './trainingTrial'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** @throws AppError what the job itself would throw before it begins. */
export async function placeCost(
  spec: PlaceSpec,
  { memoryLimitBytes, isQuick = false }: EstimateRequest,
  calibration: Calibration,
): Promise<Cost> {
  const { device } = await chooseDevice(spec.device)
  const checkpoint = await Checkpoint.open(spec.model)
  const runtime = await Runtime.open(device)
  try {
    checkForwardPass(checkpoint)
    requireFittable(checkpoint, 'places')
    const { textBytes } = await checkTexts([spec.text])
    const text = await sampleText(calibration, checkpoint, { paths: [spec.text], field: 'text' })
    const windows = within(textBytes / text.bytesPerToken, windowsAtMost(spec, checkpoint))
    const bound = { ...spec, memoryBytes: spec.memoryBytes ?? memoryLimitBytes }
    const plan = planPlaces(bound, checkpoint, runtime.placement, windows)
    const trial = trialOf(checkpoint, {
      ...plan.training,
      context: windows.context,
      windows: plan.training.microBatch,
    })
    const rates: Rates = {
      calibration,
      runtime,
      read: await calibration.readRate(checkpoint, isQuick),
      copy: Infinity,
      text: text.rate,
      training: await calibration.trainingRates(runtime, trial),
    }
    const { weights, slopes, effects } = placeWork(spec, checkpoint, windows)
    const { hiddenSize, intermediateSize, numAttentionHeads, headDim } = checkpoint.config
    const widest = Math.max(intermediateSize, numAttentionHeads * headDim)
    const states = (windows.fit + windows.search + windows.measured) * windows.context
    const compared = Math.min(
      sampleBytes(bound),
      FLOAT * windows.fit * windows.context * hiddenSize * (checkpoint.config.numHiddenLayers + 1),
    )
    return {
      device,
      seconds: [
        { label: 'tokenise the text', value: await secondsOf({ tokenised: textBytes }, rates) },
        { label: 'compare neighbouring layers', value: await secondsOf(weights, rates) },
        { label: 'run forward and backward', value: await secondsOf(slopes, rates) },
        { label: 'try every layer and gap', value: await secondsOf(effects, rates) },
      ],
      hostBytes: [...plan.hostBytes, { label: 'hidden states to compare layers', value: compared }],
      deviceBytes: runtime.placement.isHost ? null : plan.training.deviceBytes,
      diskBytes: [
        { label: 'directions of all gaps', value: directionBytes(checkpoint.config) },
        { label: 'hidden states that do not fit into memory', value: plan.scratchBytes },
      ].filter(({ value }) => value > 0),
      leastMemory: plan.leastBytes + sampleBytes(bound),
      arrays: {
        largest: FLOAT * Math.max(widest ** 2, states * hiddenSize),
        together: plan.leastBytes,
      },
      out: null,
    }
  } finally {
    await runtime.dispose()
    await checkpoint.close()
  }
}

/** A text of fewer tokens has fewer windows, all kinds in proportion. */
function within(tokens: number, { context, fit, search, measured }: PlaceWindows): PlaceWindows {
  const share = Math.min(1, tokens / (context * (fit + search + measured)))
  const of = (windows: number): number => Math.max(1, Math.round(share * windows))
  return { context, fit: of(fit), search: of(search), measured: of(measured) }
}
