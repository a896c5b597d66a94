import { join } from 'node:path'
import { expect, test } from 'vitest'
import { REST_CHOICES, type MethodSpec } from '@shared/methods'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { learnedMethod, runTask } from '../support/jobs'
import { makeUneven, ODD_CHECKPOINTS, writeOddCheckpoint } from '../support/oddCheckpoints'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const METHODS: readonly MethodSpec[] = [
  { name: 'solar' },
  { name: 'stack', repeat: [1, 2] },
  { name: 'llama-pro', groups: 2 },
  { name: 'interpolation', gaps: [0, 1, 2] },
  { name: 'neighbour-mean', gaps: [0, 1, 1, 2] },
  { name: 'opt-deus', gaps: [0, 1, 1, 2], asPublished: false },
  { ...learnedMethod('paper'), gaps: [0, 1] },
  { ...learnedMethod('paper'), name: 'noise', gaps: [1, 2] },
]

test.each(
  METHODS.flatMap((method) => REST_CHOICES.map((rest) => [method.name, rest, method] as const)),
)(
  '%s grows layers that have not all the same tensors (%s), and says so',
  async (_, rest, method) => {
    const folder = await tempFolder()
    const model = await writeOddCheckpoint(
      ODD_CHECKPOINTS['a bias that some layers lack']!,
      join(folder, 'model'),
    )
    await makeUneven(model)
    const out = join(folder, 'grown')
    const { events } = await runTask(expandSpec({ model, out, method, rest }))
    const grown = await Checkpoint.open(out)
    try {
      for (const name of grown.tensors.keys()) await grown.readBytes(name)
    } finally {
      await grown.close()
    }
    const said = events.flatMap((event) => (event.type === 'log' ? [event.text] : [])).join('\n')
    expect(said).toMatch(/model: Not every layer has .*a computed layer takes it from/)
    expect(said).toMatch(/model: The model has biases that the files lack in some layers/)
  },
)
