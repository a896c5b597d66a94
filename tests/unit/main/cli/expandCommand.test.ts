import { execFileSync } from 'node:child_process'
import { fitsText, hasStages, learns, METHODS, methodNamed, type Method } from '@shared/methods'
import { PREDICTOR_PRESETS, PRESET_SETTINGS } from '@shared/predictorSettings'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectDraft } from '@shared/projects'
import type { ExpandSpec } from '@shared/jobs'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { expandArguments, quoteCommand } from '../../../../src/main/cli/expandCommand'
import { buildExpandSpec, type ExpandOptions } from '../../../../src/main/cli/expandSpec'
import { buildProgram, givenOptions } from '../../../../src/main/cli/program'
import { fakeIo } from './fakeIo'

const paths = { engine: '', renderer: '', resources: '' } as never

/** What the command line makes of the words, as it would run it. */
async function specOf(words: readonly string[]): Promise<ExpandSpec> {
  const program = buildProgram(fakeIo(), paths, () => undefined)
  let spec: ExpandSpec | undefined
  program.commands
    .find((command) => command.name() === 'expand')
    ?.action(async (model: string, options: ExpandOptions, command: Command) => {
      spec = await buildExpandSpec(model, givenOptions(options, command), {
        cwd: '/',
        shape: () => Promise.reject(new Error('The command line says it all.')),
      })
    })
  await program.parseAsync([...words], { from: 'user' })
  if (!spec) throw new Error('no spec')
  return spec
}

function specFor(changes: Partial<ProjectDraft>, more: Partial<ExpandSpec> = {}): ExpandSpec {
  const { calibration: _, ...settings } = runSettingsOf({ ...DEFAULT_DRAFT, ...changes })
  return {
    kind: 'expand',
    model: '/models/My model – ü & co',
    out: "/out/it's $HOME",
    overwrite: false,
    ...settings,
    ...more,
  }
}

/** Every option of a method away from its default, whatever options there are. */
function unusual(method: Method): Partial<ProjectDraft> {
  const values = {
    gaps: [3, 4, 5, 7, 7],
    count: 2,
    whole: 3,
    range: [2, 5],
    switch: false,
    flag: true,
    pattern: true,
    share: 0.5,
    layers: [3, 8],
    predictor: {
      ...PRESET_SETTINGS.notebook,
      length: { unit: 'steps', value: 77 },
      learningRate: 1e-7,
    },
  } as const
  const { options } = methodNamed(method)
  const entries = Object.entries(options).map(([key, { kind }]) => [key, values[kind]] as const)
  return { ...(Object.fromEntries(entries) as Partial<ProjectDraft>), method }
}

describe('the command of a run', () => {
  it.each(METHODS)('makes the same job of %s, with defaults and without', async (method) => {
    const rest = methodNamed(method).fill === undefined ? 'mean' : 'first'
    const specs = [
      specFor({ method }),
      specFor(
        { ...unusual(method), useSvd: true, rest, device: 'cpu', seed: 9 },
        { dtype: 'f16', maxShardBytes: 1e9, overwrite: true, recipes: false },
      ),
    ]
    if (fitsText(method)) {
      specs[0] = { ...specs[0]!, calibration: { text: '/texts/far.txt' } }
      const every = { text: '/texts/far', oldText: '/texts/ä b.txt', tokens: 9000, context: 96 }
      specs[1] = { ...specs[1]!, calibration: every }
    }
    if (hasStages(method)) specs[1] = { ...specs[1]!, job: '/jobs/ä b' }
    if (learns(method)) specs.push({ ...specs[1]!, also: ['/models/ä b', '/models/step-2'] })
    for (const spec of specs) expect(await specOf(expandArguments(spec))).toEqual(spec)
  })

  it('makes the same job where the decomposition is off, and of any preset', async () => {
    for (const preset of PREDICTOR_PRESETS) {
      const changes = { predictor: PRESET_SETTINGS[preset], useSvd: false, holdout: [4] }
      const spec = specFor(changes, { memoryBytes: 8e9 })
      const words = expandArguments(spec)
      expect(words.join(' ')).toContain(`--preset ${preset}`)
      expect(await specOf(words)).toEqual(spec)
    }
  })

  it.skipIf(process.platform === 'win32')('comes through a shell as it is', () => {
    const words = [...expandArguments(specFor({ gaps: [1, 2, 9] })), '`a`', '$(b)', '"', '\\', '']
    const line = quoteCommand(words, 'linux')
    const shown = execFileSync('sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' })
    expect(shown.split('\0').slice(0, -1)).toEqual(words)
  })

  it('is quoted for PowerShell on Windows, where a comma makes a list', () => {
    expect(quoteCommand(['--gaps', '5-7,9', 'C:\\m', "it's a"], 'win32')).toBe(
      "--gaps '5-7,9' C:\\m 'it''s a'",
    )
  })
})
