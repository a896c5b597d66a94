import { parseArgs } from 'node:util'

export interface BenchOptions {
  /** Names to run; `null` for all. */
  readonly only: readonly string[] | null
  readonly json: boolean
  readonly reference: boolean
  readonly quick: boolean
  readonly repeats: number | null
  /** Folder for the checkpoints that are made and removed; `null` for the system's temporary folder. */
  readonly work: string | null
  readonly help: boolean
}

export const USAGE = `npm run bench [-- options]

  --only NAME      run only this benchmark; repeat it or separate names by commas
  --json           print the results as one JSON document
  --no-reference   leave the references out (PyTorch, cp)
  --quick          tiny sizes: shows that the benchmarks run, measures nothing worth telling
  --repeat N       how often each side is measured
  --work DIR       folder for the checkpoints that are made and removed (default: the temporary folder)

References in PyTorch run where LESA_PYTHON, python3 or python has torch and safetensors.
`

/** @throws Error saying what is wrong with the arguments. */
export function parseOptions(args: readonly string[], names: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      'no-reference': { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      repeat: { type: 'string' },
      work: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const only = values.only?.flatMap((list) => list.split(',').map((name) => name.trim())) ?? null
  const unknown = only?.find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new Error(`There is no benchmark "${unknown}"; there are ${names.join(', ')}.`)
  }
  const repeats = values.repeat === undefined ? null : Number(values.repeat)
  if (repeats !== null && !(Number.isInteger(repeats) && repeats > 0)) {
    throw new Error('--repeat: expected a whole number of 1 or more.')
  }
  return {
    only,
    json: values.json,
    reference: !values['no-reference'],
    quick: values.quick,
    repeats,
    work: values.work ?? null,
    help: values.help,
  }
}
