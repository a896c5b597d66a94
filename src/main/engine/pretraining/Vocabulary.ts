import type { Checkpoint } from '../checkpoint/Checkpoint'
import { embed, scaleEmbeddings } from '../decoder/embedding'
import { VocabularyMatrix, type VocabularyTile } from '../decoder/VocabularyMatrix'
import { floats } from '../onnx/hostMemory'
import type { Runtime, Tensor } from '../onnx/Runtime'
import type { TrainingPlan } from './memory'

/** Embeddings, final norm and output matrix of a checkpoint: all frozen, in memory as a whole or a part at a time. */
export class Vocabulary {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    private readonly input: VocabularyMatrix,
    private readonly output: VocabularyMatrix,
    /** `[vocabSize, hiddenSize]` */
    private readonly embeddings: Float32Array | null,
    private readonly pinned: readonly VocabularyTile[] | null,
    /** `[hiddenSize]` */
    readonly norm: Tensor,
  ) {}

  static async open(
    checkpoint: Checkpoint,
    runtime: Runtime,
    { pinsVocabulary, vocabularyTile: rows }: TrainingPlan,
    signal: AbortSignal,
  ): Promise<Vocabulary> {
    const { embedTokens, lmHead, finalNorm } = checkpoint.architecture
    const { hiddenSize, vocabSize } = checkpoint.config
    // As in the forward pass: a tied model's file may have a matrix of its own all the same.
    const outputName = checkpoint.tensors.has(lmHead) ? lmHead : embedTokens
    const input = new VocabularyMatrix(checkpoint, embedTokens, rows * hiddenSize)
    const output = new VocabularyMatrix(checkpoint, outputName, rows * hiddenSize)
    const norm = await runtime.upload(await checkpoint.readFloat32(finalNorm), [hiddenSize])
    let embeddings: Float32Array | null = null
    let pinned: VocabularyTile[] | null = null
    if (pinsVocabulary) {
      embeddings = await checkpoint.readFloat32(embedTokens)
      const matrix =
        outputName === embedTokens ? embeddings : await checkpoint.readFloat32(outputName)
      pinned = []
      for (let start = 0; start < vocabSize; start += rows) {
        const end = Math.min(vocabSize, start + rows)
        const part = matrix.subarray(start * hiddenSize, end * hiddenSize)
        pinned.push({ tensor: await runtime.upload(part, [end - start, hiddenSize]), start, end })
      }
    }
    return new Vocabulary(checkpoint, runtime, signal, input, output, embeddings, pinned, norm)
  }

  /** Whether the output matrix is in one piece. */
  get isWhole(): boolean {
    return this.output.tileCount === 1
  }

  get tileCount(): number {
    return this.output.tileCount
  }

  /** The output matrix, a tile at a time; the next one takes the place of one that is not pinned. */
  async *tiles(): AsyncGenerator<VocabularyTile, void> {
    if (this.pinned) yield* this.pinned
    else yield* this.output.tiles(this.runtime, this.signal)
  }

  /** Hidden states before the first layer, `[windows, length, hiddenSize]` for each group of windows of one length. */
  async embed(groups: readonly (readonly Int32Array[])[]): Promise<Float32Array[]> {
    if (this.embeddings === null) {
      const batches = groups.map((sequences) => ({
        length: sequences[0]?.length ?? 0,
        sequences,
        indices: [...sequences.keys()],
      }))
      return await embed(this.checkpoint.config, this.input, batches, this.signal)
    }
    const { config } = this.checkpoint
    const { hiddenSize } = config
    const rows = this.embeddings
    return groups.map((windows) => {
      const length = windows[0]?.length ?? 0
      const hidden = floats(windows.length * length * hiddenSize)
      windows.forEach((ids, window) => {
        ids.forEach((id, place) => {
          const at = (window * length + place) * hiddenSize
          hidden.set(rows.subarray(id * hiddenSize, (id + 1) * hiddenSize), at)
        })
      })
      return scaleEmbeddings(hidden, config)
    })
  }

  dispose(): void {
    this.runtime.release(this.norm)
    for (const { tensor } of this.pinned ?? []) this.runtime.release(tensor)
  }
}
