import type { Architecture, NormKind } from '../architectures/Architecture'
import type { Graph, Value } from '../onnx/graph'

/** Normalises over the last axis; the weight has its size. */
export type Norm = (g: Graph, x: Value, weight: Value, eps: number) => Value

const NORMS: Readonly<Record<NormKind, Norm>> = {
  rms: (g, x, weight, eps) => {
    const meanSquare = g.mean(g.square(x), [-1], true)
    return g.mul(g.div(x, g.sqrt(g.add(meanSquare, eps))), weight)
  },
  rms_plus_one: (g, x, weight, eps) => NORMS.rms(g, x, g.add(weight, 1), eps),
}

/** The norm of a family's layers and of its head. */
export function normOf({ forward }: Architecture): Norm {
  return NORMS[forward.norm]
}
