/** @file How models predict the same sequences as a base does, and how far from its predictions theirs are. */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { batchPositions, type Batch } from '../decoder/batches'
import { PairScores } from '../decoder/divergence'
import {
  defaultLimits,
  ForwardPass,
  type ForwardLimits,
  type HiddenBatch,
} from '../decoder/ForwardPass'
import { TargetScores } from '../decoder/head'
import { PairHead } from '../decoder/PairHead'
import type { Runtime } from '../onnx/Runtime'
import {
  counter,
  keepLosses,
  nextTokens,
  unscored,
  type ScoringProgress,
  type SequenceScore,
} from './scoring'

export interface AgainstProgress extends ScoringProgress {
  /** Of which model: 0 is the base, the others follow. */
  readonly which: number
}

/** A model's scores, and over each sequence's scored tokens what tells it from the base. */
export interface ModelScores {
  readonly scores: readonly SequenceScore[]
  /** Σ KL(base ‖ model) of each sequence, in nats; of the base itself zeros. */
  readonly kl: Float64Array
  /** Positions of each sequence at which both have the same most likely token. */
  readonly agreed: Float64Array
  /** Spent on it. */
  readonly seconds: number
}

/** A model while the comparison goes on. */
interface Entrant {
  readonly which: number
  readonly pass: ForwardPass
  /** `null` for the base. */
  readonly pair: PairHead | null
  /** Count runs of its layers and of its head. */
  readonly layers: () => ScoringProgress
  readonly head: () => ScoringProgress
  readonly scores: SequenceScore[]
  readonly kl: Float64Array
  readonly agreed: Float64Array
  seconds: number
}

/**
 * Scores sequences by a base and by other models of its vocabulary. A group of sequences runs through the base, whose last
 * hidden states stay in memory, then through each model; then both output matrices are streamed side by side. So as many
 * hidden states are in memory as {@link ForwardPass} has, one layer's weights, and the kernels of one model.
 *
 * @param sequences Token ids below the vocabulary's size, two at least in each.
 * @returns The base's scores first, then the models' in their order.
 * @throws AppError `numeric_failure` naming the model and layer whose output is not finite.
 */
export async function* scoreAgainst(
  checkpoints: readonly [base: Checkpoint, ...models: Checkpoint[]],
  sequences: readonly Int32Array[],
  {
    runtime,
    signal,
    limits = {},
  }: {
    readonly runtime: Runtime
    readonly signal: AbortSignal
    readonly limits?: Partial<ForwardLimits>
  },
): AsyncGenerator<AgainstProgress, readonly ModelScores[]> {
  const [base] = checkpoints
  const passes = checkpoints.map(
    (checkpoint) => new ForwardPass(checkpoint, runtime, signal, limits),
  )
  const groups = passes[0]?.plan(sequences, passes.slice(1)) ?? []
  const entrants = passes.map((pass, which): Entrant => {
    const { checkpoint } = pass
    const all = { ...defaultLimits(checkpoint.config), ...limits }
    const pair =
      which === 0 ? null : new PairHead({ base, model: checkpoint }, runtime, signal, all)
    return {
      which,
      pass,
      pair,
      ...countersOf(pass, pair ?? pass.head, groups.flat()),
      scores: unscored(sequences),
      kl: new Float64Array(sequences.length),
      agreed: new Float64Array(sequences.length),
      seconds: 0,
    }
  })
  for (const group of groups) {
    let kept: readonly HiddenBatch[] = []
    for (const entrant of entrants) {
      const { which, pass, pair, layers } = entrant
      const start = performance.now()
      try {
        const states = await pass.embed(group)
        for await (const _ of pass.throughLayers(states)) yield { ...layers(), which }
        if (pair) {
          yield* scorePair(entrant, pair, kept, states)
        } else {
          kept = states
          yield* scoreBase(entrant, states)
        }
      } finally {
        await pass.dispose()
        await pair?.dispose()
      }
      entrant.seconds += (performance.now() - start) / 1000
    }
  }
  return entrants
}

async function* scoreBase(
  { which, pass, head, scores, agreed }: Entrant,
  states: readonly HiddenBatch[],
): AsyncGenerator<AgainstProgress, void> {
  const parts = states.map(({ batch, hidden }) => {
    const targets = nextTokens(batch)
    return { batch, hidden, targets, scores: new TargetScores(targets.length) }
  })
  for await (const _ of pass.head.score(parts)) yield { ...head(), which }
  for (const { batch, scores: positions } of parts) {
    keepLosses(pass, batch, positions, scores)
    for (const index of batch.indices) agreed[index] = scores[index]?.losses.length ?? NaN
  }
}

/** @param base The base's last hidden states for the same batches. */
async function* scorePair(
  { which, pass, head, scores, kl, agreed }: Entrant,
  pair: PairHead,
  base: readonly HiddenBatch[],
  states: readonly HiddenBatch[],
): AsyncGenerator<AgainstProgress, void> {
  const parts = states.map(({ batch, hidden }, place) => {
    const targets = nextTokens(batch)
    return {
      batch,
      targets,
      hidden: { base: base[place]?.hidden ?? new Float32Array(0), model: hidden },
      scores: new PairScores(targets.length),
    }
  })
  for await (const _ of pair.score(parts)) yield { ...head(), which }
  for (const { batch, scores: positions } of parts) {
    keepLosses(pass, batch, positions.model, scores)
    batch.indices.forEach((index, row) => {
      const count = scores[index]?.losses.length ?? 0
      for (let column = 0; column < count; column += 1) {
        const position = row * batch.length + column
        kl[index] = (kl[index] ?? 0) + positions.kl(position)
        if (positions.agree(position)) agreed[index] = (agreed[index] ?? 0) + 1
      }
    })
  }
}

function countersOf(
  { checkpoint }: ForwardPass,
  head: { runsFor(positions: number): number },
  batches: readonly Batch[],
): Pick<Entrant, 'layers' | 'head'> {
  const runs = batches.map((batch) => head.runsFor(batchPositions(batch)))
  return {
    layers: counter('layers', batches.length * checkpoint.config.numHiddenLayers),
    head: counter(
      'head',
      runs.reduce((sum, count) => sum + count, 0),
    ),
  }
}
