import { stepsToReach, type Curve, type PretrainedModel } from '@shared/pretraining'

/** A training that ended well, with an evaluation at each of `points` between step 0 and `steps`. */
export function trained(
  name: string,
  points: readonly number[],
  changes: Partial<PretrainedModel> = {},
): PretrainedModel {
  const steps = changes.steps ?? 100
  const evaluated = curveOver(points, steps)
  return {
    model: `/models/${name}`,
    name,
    out: `/out/${name}`,
    steps,
    tokens: steps * 1536,
    lr: 3e-4,
    trained_layers: [6, 8],
    trained_parameters: 394_000,
    seconds: 30,
    seed: 0,
    loss: [
      [1, points[0] ?? NaN],
      [steps, points.at(-1) ?? NaN],
    ],
    eval: evaluated,
    forgetting: [],
    gradient_norm: [],
    elapsed: [],
    steps_to_reach: {},
    diverged: null,
    repeats: [],
    trials: [],
    ...changes,
  }
}

/** The points spread evenly from step 0 to the last. */
export function curveOver(points: readonly number[], steps: number): Curve {
  return points.map((value, index) => [(steps * index) / (points.length - 1), value])
}

/** Each with what the others make of it. */
export function race(...models: readonly PretrainedModel[]): readonly PretrainedModel[] {
  return models.map((model) => ({
    ...model,
    steps_to_reach: Object.fromEntries(
      models
        .filter((other) => other !== model)
        .map((other) => [other.name, stepsToReach(model.eval, other.eval.at(-1)?.[1] ?? NaN)]),
    ),
  }))
}

/** The same training with other seeds, which end elsewhere. */
export function withSeeds(model: PretrainedModel, ...ends: readonly number[]): PretrainedModel {
  return {
    ...model,
    repeats: ends.map((end, index) => ({
      seed: index + 1,
      loss: model.loss,
      eval: [...model.eval.slice(0, -1), [model.steps, end] as const],
      forgetting: [],
      gradient_norm: [],
      elapsed: [],
    })),
  }
}
