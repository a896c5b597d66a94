import { z } from 'zod'
import { DEVICE_CHOICES } from './devices'
import { placeSpecSchema } from './jobs/place'
import { textIdSchema } from './projects'

/** What a window asks to be measured. */
export const placesRequestSchema = z.object({
  /** One of the project's texts. */
  text: textIdSchema,
  /** The longest block that is run twice. */
  blocks: placeSpecSchema.shape.blocks,
  device: z.enum(DEVICE_CHOICES),
})
export type PlacesRequest = z.infer<typeof placesRequestSchema>
