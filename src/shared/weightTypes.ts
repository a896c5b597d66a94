/** The seven matrices of a decoder layer that LESA predicts, each on its own (method: one predictor per type). */
export const WEIGHT_TYPES = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const

export type WeightType = (typeof WEIGHT_TYPES)[number]
