/** The matrices of a layer of Llama's shape, in the order in which results name them. */
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
