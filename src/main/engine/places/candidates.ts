/** @file Blocks that could go into a gap, by their weights. */
import { z } from 'zod'
import { AppError } from '@shared/errors'
import { join } from 'node:path'
import { windowOfLayer, type ModelConfig } from '../architectures/config'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { feedLayer, type StreamedLayer } from '../decoder/layerStream'
import type { LayerWeights } from '../decoder/LayerReader'
import { readLesaFile } from '../growth/lesaFile'
import type { Feeds, Runtime } from '../onnx/Runtime'

/** A block's weights, for as long as they are used. */
export interface CandidateBlock {
  readonly weights: Feeds
  /** A layer of the base that attends as the block does. */
  readonly like: number
  readonly release: () => void
}

/** A kind of block, of which there may be one for a gap, several or none. */
export interface Candidate {
  readonly name: string
  /** How many it has for a gap. */
  countAt(gap: number): number
  /** The first, second … of them. @param left The layer before the gap. */
  block(gap: number, index: number, left: StreamedLayer): Promise<CandidateBlock>
}

/** The layer before the gap once more. */
export const copyCandidate: Candidate = {
  name: 'copy',
  countAt: () => 1,
  block: (gap, _index, { weights }) =>
    Promise.resolve({ weights, like: gap, release: () => undefined }),
}

/** The mean of both neighbours, where they have the same tensors. */
export function meanCandidate(checkpoint: Checkpoint, runtime: Runtime): Candidate {
  return {
    name: 'mean',
    countAt: (gap) => {
      const { architecture, config } = checkpoint
      if (gap + 1 >= config.numHiddenLayers) return 0
      return architecture.formOf(config, gap) === architecture.formOf(config, gap + 1) ? 1 : 0
    },
    block: async (gap) => {
      const left = await readLayer(checkpoint, gap)
      const right = await readLayer(checkpoint, gap + 1)
      for (const [suffix, values] of left) {
        const other = right.get(suffix)!
        for (let index = 0; index < values.length; index += 1) {
          values[index] = (values[index]! + other[index]!) / 2
        }
      }
      return fed(checkpoint, runtime, { layer: gap, like: gap }, left)
    },
  }
}

/** New layers of a model that was grown from the base. */
export interface GrownCandidate extends Candidate {
  close(): Promise<void>
}

const mapSchema = z.object({ layer_map: z.array(z.int().min(0).nullable()) })

/**
 * Opens a grown model and finds its new layers' gaps by its `lesa.json`.
 *
 * @throws AppError `bad_request` when it was not grown from this base, or does not say how, and what opening it throws.
 */
export async function openGrownCandidate(
  path: string,
  base: Checkpoint,
  runtime: Runtime,
): Promise<GrownCandidate> {
  const grown = await Checkpoint.open(path)
  try {
    refuseOtherShape(grown, base)
    const gaps = gapsOfNew(await layerMapOf(grown, base), base.config.numHiddenLayers)
    const layersAt = (gap: number): number[] =>
      [...gaps].flatMap(([layer, its]) => (its === gap ? [layer] : []))
    return {
      name: path,
      countAt: (gap) => layersAt(gap).length,
      block: async (gap, index) => {
        const layer = layersAt(gap)[index]!
        const typeOf = (config: ModelConfig, each: number): string =>
          [
            windowOfLayer(config, each),
            config.layerRopes[each],
            config.convolution?.isConvolution[each] === true,
          ].join('/')
        const type = typeOf(grown.config, layer)
        const like = [gap, gap + 1].find(
          (each) => each < base.config.numHiddenLayers && typeOf(base.config, each) === type,
        )
        return fed(grown, runtime, { layer, like: like ?? gap }, await readLayer(grown, layer))
      },
      close: () => grown.close(),
    }
  } catch (error) {
    await grown.close()
    throw error
  }
}

async function readLayer(checkpoint: Checkpoint, layer: number): Promise<LayerWeights> {
  const weights = new Map<string, Float32Array>()
  for (const { suffix } of checkpoint.architecture.layerTensors(checkpoint.config, layer)) {
    weights.set(suffix, await checkpoint.readFloat32(checkpoint.layerTensorName(layer, suffix)))
  }
  return weights
}

async function fed(
  checkpoint: Checkpoint,
  runtime: Runtime,
  { layer, like }: { readonly layer: number; readonly like: number },
  read: LayerWeights,
): Promise<CandidateBlock> {
  const weights = await feedLayer(checkpoint, runtime, read, layer)
  return {
    weights,
    like,
    release: () => Object.values(weights).forEach((tensor) => runtime.release(tensor)),
  }
}

const SAME = [
  'architectureName',
  'hiddenSize',
  'intermediateSize',
  'numAttentionHeads',
  'numKeyValueHeads',
  'headDim',
] as const satisfies readonly (keyof ModelConfig)[]

function refuseOtherShape(grown: Checkpoint, base: Checkpoint): void {
  for (const field of SAME) {
    if (grown.config[field] === base.config[field]) continue
    throw new AppError('bad_request', `${grown.path} was not grown from ${base.path}.`, {
      hint: 'Name a model that was grown from the one whose places are measured.',
      context: {
        file: join(grown.path, 'config.json'),
        field: 'candidates',
        expected: `${field} ${base.config[field]}`,
        actual: String(grown.config[field]),
      },
    })
  }
}

/** For each of the grown model's layers the base's that it is, `null` for a new one. */
async function layerMapOf(
  grown: Checkpoint,
  base: Checkpoint,
): Promise<readonly (number | null)[]> {
  const file = join(grown.path, 'lesa.json')
  const refuse = (expected: string, actual: string): AppError =>
    new AppError('bad_request', `${file} does not say which layers are new.`, {
      hint: 'Name a model that lesa expand has grown from the one whose places are measured.',
      context: { file, field: 'candidates', expected, actual },
    })
  const content = (await readLesaFile(grown.path))?.content
  if (!content) throw refuse('a lesa.json', 'none')
  const parsed = mapSchema.safeParse(content)
  if (!parsed.success) throw refuse('a layer_map', 'none')
  const map = parsed.data.layer_map
  const { numHiddenLayers } = grown.config
  if (map.length !== numHiddenLayers) {
    throw refuse(`a layer_map of ${numHiddenLayers} layers`, `${map.length}`)
  }
  const originals = map.filter((layer) => layer !== null)
  const expected = Array.from({ length: base.config.numHiddenLayers }, (_, layer) => layer)
  if (originals.join() !== expected.join()) {
    throw refuse(
      `all ${expected.length} layers of the base, in order`,
      originals.join(',') || 'none',
    )
  }
  return map
}

/** The gap of each new layer; one before the first layer is in none. */
function gapsOfNew(map: readonly (number | null)[], layers: number): ReadonlyMap<number, number> {
  const gaps = new Map<number, number>()
  let before = -1
  for (const [layer, original] of map.entries()) {
    if (original !== null) before = original
    else if (before >= 0 && before < layers) gaps.set(layer, before)
  }
  return gaps
}
