import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { MethodSpec } from '@shared/methods'
import { decodeSafetensors, encodeSafetensors, writeTinyCheckpoint } from '../support/checkpoints'
import { runTask } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const DAMAGED = ['model.embed_tokens.weight', 'model.layers.1.mlp.up_proj.weight']

const METHODS: readonly MethodSpec[] = [
  { name: 'solar' },
  { name: 'llama-pro', groups: 2 },
  { name: 'neighbour-mean', gaps: [2] },
]

test.each(
  METHODS.flatMap((method) =>
    (['keep', 'f32'] as const).map((dtype) => [method.name, dtype, method] as const),
  ),
)('%s (%s) names the tensors whose NaN and infinities it passes on', async (_, dtype, method) => {
  const folder = await tempFolder()
  const model = await writeTinyCheckpoint({ dir: join(folder, 'model') })
  const file = join(model, 'model.safetensors')
  const { tensors } = await decodeSafetensors(file)
  for (const { name, bytes } of tensors) {
    // The last element: NaN in the one, an infinity in the other.
    if (DAMAGED.includes(name))
      bytes.set([name === DAMAGED[0] ? 0xc1 : 0x80, 0x7f], bytes.length - 2)
  }
  await writeFile(file, encodeSafetensors(tensors))
  const out = join(folder, 'grown')
  const { result, events } = await runTask(expandSpec({ model, out, method, dtype }))
  const said = events.flatMap((event) => (event.type === 'log' ? [event.text] : []))
  const expected = expect.stringMatching(
    /^\d+ tensors hold NaN or infinities, taken over from the base model: model\.embed_tokens\.weight, model\.layers\.1\.mlp\.up_proj\.weight/,
  ) as string
  expect(said).toContainEqual(expected)
  expect(result).toMatchObject({ warnings: [expected] })
  expect(await readFile(join(out, 'lesa.json'), 'utf8')).toContain('NaN or infinities')
})
