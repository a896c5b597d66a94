import { z } from 'zod'

/**
 * The name of a weight type, such as `q_proj`: which ones there are the model's architecture says. Files and series are
 * named after it, so it holds nothing that a path could be made of.
 */
export const weightTypeSchema = z
  .string()
  .max(64)
  .regex(/^\w+(?:\.\w+)*$/)
