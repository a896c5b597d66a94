import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AppError } from '@shared/errors'
import { reportError } from '../../../../src/main/cli/errors'
import { runCli } from '../../../../src/main/cli/main'
import { fakeIo, NO_PATHS } from './fakeIo'

async function run(...args: string[]) {
  const io = fakeIo()
  const code = await runCli(args, io, NO_PATHS)
  return { code, stdout: io.stdout.text, stderr: io.stderr.text }
}

describe('runCli', () => {
  it('prints help and the version on stdout and succeeds', async () => {
    for (const args of [['--help'], ['expand', '--help']]) {
      const { code, stdout, stderr } = await run(...args)
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toContain('Usage: lesa')
    }
    expect(await run('--version')).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
      stderr: '',
    })
  })

  it.each([
    [['expand', 'm'], "required option '--out <dir>' not specified"],
    [['expand', '--out', 'o'], "missing required argument 'model'"],
    [['expand', 'm', '--out', 'o', '--method', 'lisa'], "argument 'lisa' is invalid"],
    [['expand', 'm', '--out', 'o', '--lr', 'fast'], 'It should be a number'],
    [['expand', 'm', '--out', 'o', '--seed', '-1'], 'It should be a whole number'],
    [['expand', 'm', '--out', 'o', '--gaps', '9-5'], '--gaps: expected'],
    [['expand', 'm', '--out', 'o', '--method', 'stack', '--repeat', '8'], '8-23'],
    [['expand', 'm', '--out', 'o', '--max-shard-size', 'big'], '5GB'],
    [['expand', 'm', '--out', 'o', '--epochs', '1', '--steps', '2'], 'exclude each other'],
    [['expand', 'm', '--out', 'o', '--method', 'solar', '--no-svd'], 'lesa, noise'],
    [['expand', 'm', '--out', 'o', '--holdout', 'x'], "'--holdout [layers]'"],
    [['evaluate', 'm'], "'--text <file>'"],
    [['evaluate', 'm', '--text', 't', '--context', '1'], '--context'],
    [['evaluate', '--text', 't'], "'model'"],
    [['pretrain', 'm', '--out', 'o'], "'--text <path...>'"],
    [['pretrain', 'm', '--text', 't'], "'--out <dir>'"],
    [['pretrain', '--text', 't', '--out', 'o'], "'model'"],
    [['pretrain', 'm', '--out', 'o', '--text', 't', '--lr', 'fast'], "'--lr <rates>'"],
    [['pretrain', 'm', '--out', 'o', '--text', 't', '--lr', '0,001'], '0.001'],
    [['pretrain', 'm', '--out', 'o', '--text', 't', '--schedule', 'step'], 'wsd, cosine, constant'],
    [['pretrain', 'm', '--out', 'o', '--text', 't', '--steps', '1.5'], 'a whole number'],
    [['pretrain', 'm', '--out', 'o', '--text', 't', '--beta1', '1'], '--beta1: '],
    [['compare'], "'trained'"],
    [['compare', 't', '--start', 's', '--base', 'b'], '--text FILE'],
    [['compare', 't', '--start', 's', '--text', 't', '--context', '1'], '--context'],
    [['compare', 'nowhere'], '--start GROWN'],
    [['inspect'], "'model'"],
    [['inspect', 'a', 'b'], 'too many arguments'],
    [['devices', '--devise'], "unknown option '--devise'"],
    [['serve', '--port', '70000'], '0 to 65535'],
    [['expnd'], "unknown command 'expnd' (Did you mean expand?)"],
    [[], 'which command?'],
  ])('answers %j with one line and exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await run(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^error: .*\n$/)
    expect(stderr).toContain(message)
  })
})

describe('without a command', () => {
  it('every one is named that the help shows', async () => {
    const { stderr } = await run()
    expect(stderr).toBe(
      'error: which command? inspect, expand, assemble, evaluate, place, try, pretrain, compare, recipes, synth, devices or serve; see lesa --help\n',
    )
    const { stdout } = await run('--help')
    for (const name of ['assemble', 'serve']) expect(stdout).toContain(`  ${name} `)
  })
})

describe('reportError', () => {
  const error = new AppError('output_exists', 'The folder\u001b[31m is not empty.', {
    hint: 'Pass --overwrite.',
    context: { file: resolve('/a/b'), field: 'out' },
  })

  it('gives people code, message, context and hint', () => {
    const io = fakeIo()
    reportError(io, error, false)
    expect(io.stderr.text).toBe(
      'error output_exists: The folder\\u001b[31m is not empty.\n' +
        `  file   ${resolve('/a/b')}\n  field  out\n  hint   Pass --overwrite.\n`,
    )
    expect(io.stdout.text).toBe('')
  })

  it('gives programs one JSON document on one line, without the stack', () => {
    const io = fakeIo()
    reportError(io, error, true)
    expect(io.stderr.text.split('\n')).toHaveLength(2)
    expect(JSON.parse(io.stderr.text)).toEqual({
      error: {
        code: 'output_exists',
        message: error.message,
        hint: 'Pass --overwrite.',
        context: { file: resolve('/a/b'), field: 'out' },
      },
    })
    expect(io.stdout.text).toBe('')
  })

  it('shows where in the program a defect was', () => {
    const io = fakeIo()
    reportError(io, new AppError('bug', 'Oh.'), false)
    expect(io.stderr.text).toContain('main.test.ts')
  })
})
