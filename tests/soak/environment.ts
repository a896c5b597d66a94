import { execFileSync } from 'node:child_process'
import {
  appendFile,
  chmod,
  cp,
  link,
  mkdir,
  readdir,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { errorOf, runCli, smallModel } from './program'
import type { Campaign } from './trials'

/** What one surrounding should make of a run: which ends are right. */
interface Case {
  readonly name: string
  readonly args: readonly string[]
  readonly shell?: string
  /** Codes of errors that say what it is; `ok` when it may as well succeed. */
  readonly ends: readonly string[]
  /** Folders in which nothing may be left. */
  readonly clean?: readonly string[]
}

const LESA = ['--method', 'lesa', '--steps', '2', '--device', 'cpu']
const SOLAR = ['--method', 'solar']

/** Runs the command line where disks are full or read-only, limits low, and names and files odd. */
export const environment: Campaign = async (trials) => {
  const { root, work } = trials
  const model = await smallModel(work)
  const skipped: string[] = []
  const cases = [
    ...(await links(work, model)),
    ...(await names(work, model)),
    ...limits(work, model),
    ...(await partials(work, model)),
    ...(await disks(work, model, skipped)),
  ]
  const codes: Record<string, number> = {}
  try {
    for (const each of trials.random.shuffled(cases).slice(0, trials.count ?? cases.length)) {
      if (trials.isOver()) break
      const before = await listed(each.clean)
      const end = await runCli(root, [...each.args, '--json'], {
        ...(each.shell === undefined ? {} : { shell: each.shell }),
        limitMs: 60_000,
      })
      const code = end.code === 0 ? 'ok' : (errorOf(end)?.code ?? said(end))
      codes[code] = (codes[code] ?? 0) + 1
      const left = end.code === 0 ? before : await listed(each.clean)
      if (end.isLate) trials.failed(`${each.name}: no end`)
      else if (!each.ends.includes(code)) {
        trials.failed(`${each.name}: ${code}: ${end.err.slice(0, 600)}`)
      } else if (left !== before) trials.failed(`${each.name}: left behind: ${left}`)
      else trials.passed()
    }
  } finally {
    for (const path of mounted.splice(0)) execFileSync('umount', ['-l', path])
  }
  return { codes, skipped }
}

/** What a run that wrote no JSON said of itself. */
function said({ err, code }: { readonly err: string; readonly code: number | null }): string {
  if (/^error system_failed: /m.test(err)) return 'system_failed'
  return `exit ${code}`
}

async function listed(folders: readonly string[] = []): Promise<string> {
  const all = await Promise.all(folders.map((each) => readdir(each).catch(() => [])))
  return all.flat().sort().join(', ')
}

const mounted: string[] = []

async function disks(work: string, model: string, skipped: string[]): Promise<Case[]> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    skipped.push('full and read-only disks: only root may mount them')
    return []
  }
  const mount = async (name: string, options: string): Promise<string> => {
    const path = join(work, name)
    await mkdir(path)
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
    mounted.push(path)
    return path
  }
  try {
    const [small, tight, fixed] = [
      await mount('small', 'size=50m'),
      await mount('tight', 'size=200m,nr_inodes=12'),
      await mount('fixed', 'ro'),
    ]
    return [
      {
        name: 'a disk that is too small',
        args: ['expand', model, '--out', join(small, 'out'), ...LESA],
        ends: ['not_enough_disk'],
        clean: [small],
      },
      {
        name: 'a job folder on a disk that is too small',
        args: ['expand', model, '--out', join(work, 'd1'), '--job', join(small, 'job'), ...LESA],
        ends: ['not_enough_disk'],
        clean: [small],
      },
      {
        name: 'a disk without room for more files',
        args: ['expand', model, '--out', join(tight, 'out'), ...LESA],
        ends: ['not_enough_disk'],
        clean: [tight],
      },
      {
        name: 'a job folder without room for more files',
        args: ['expand', model, '--out', join(work, 'd2'), '--job', join(tight, 'job'), ...LESA],
        ends: ['not_enough_disk'],
      },
      {
        name: 'a read-only disk',
        args: ['expand', model, '--out', join(fixed, 'out'), ...LESA],
        ends: ['path_denied'],
      },
      {
        name: 'a read-only job folder',
        args: ['expand', model, '--out', join(work, 'd3'), '--job', join(fixed, 'job'), ...LESA],
        ends: ['path_denied'],
      },
      {
        name: 'synth onto a disk that is too small',
        args: ['synth', '--like', 'llama-1.1b', '--out', join(small, 's')],
        ends: ['not_enough_disk'],
        clean: [small],
      },
    ]
  } catch (error) {
    skipped.push(`full and read-only disks: ${String(error)}`)
    return []
  }
}

function limits(work: string, model: string): Case[] {
  if (process.platform === 'win32') return []
  const to = (name: string): string => join(work, name)
  const clean = [work]
  return [
    ...[16, 24, 40, 64].map((files) => ({
      name: `${files} open files`,
      shell: `ulimit -n ${files}`,
      args: ['expand', model, '--out', to(`n${files}`), ...SOLAR],
      // Below about twenty Node itself does not start.
      ends: [
        'ok',
        'system_failed',
        'engine_crashed',
        ...(files < 24 ? ['exit 134', 'exit 1', 'exit null'] : []),
      ],
      clean,
    })),
    ...[1, 16, 64].map((blocks) => ({
      name: `files of ${blocks} KiB`,
      shell: `ulimit -f ${blocks}`,
      args: ['expand', model, '--out', to(`f${blocks}`), ...LESA],
      ends: ['ok', 'write_failed'],
      clean,
    })),
    ...[1_500_000, 2_500_000].map((kilobytes) => ({
      name: `${kilobytes} kB of memory`,
      shell: `ulimit -v ${kilobytes}`,
      args: ['expand', model, '--out', to(`v${kilobytes}`), ...LESA],
      ends: ['ok', 'not_enough_memory', 'engine_crashed', 'exit 134', 'exit 133', 'exit null'],
    })),
    {
      name: 'a bound on memory that nothing keeps',
      args: ['expand', model, '--out', to('m'), '--memory', '1MB', ...LESA],
      ends: ['not_enough_memory'],
      clean,
    },
  ]
}

async function names(work: string, model: string): Promise<Case[]> {
  const odd = [
    'with space',
    'ünïcödé-模型',
    '-dash',
    'quote\'"',
    'new\nline',
    '.hidden',
    'a'.repeat(200),
  ]
  const cases = await Promise.all(
    odd.map(async (name) => {
      const copy = join(work, 'odd', name)
      await cp(model, copy, { recursive: true })
      return {
        name: `the name ${JSON.stringify(name)}`,
        args: ['expand', copy, '--out', join(work, 'odd-out', name), ...SOLAR],
        ends: ['ok'],
      }
    }),
  )
  return [
    ...cases,
    ...[
      join(work, 'n'.repeat(256)),
      join(work, 'n'.repeat(245)),
      join(work, ...Array<string>(30).fill('n'.repeat(200))),
    ].map((out) => ({
      name: `an output of ${out.length} characters`,
      args: ['expand', model, '--out', out, ...SOLAR],
      ends: ['path_denied', 'bad_request', 'exit 2'],
      clean: [work],
    })),
    {
      name: 'a job folder with a name that is too long',
      args: [
        'expand',
        model,
        '--out',
        join(work, 'j'),
        '--job',
        join(work, 'n'.repeat(256)),
        ...LESA,
      ],
      ends: ['path_denied'],
      clean: [work],
    },
  ]
}

async function links(work: string, model: string): Promise<Case[]> {
  if (process.platform === 'win32') return []
  const mutant = async (
    name: string,
    change: (folder: string) => Promise<unknown>,
  ): Promise<string> => {
    const folder = join(work, 'links', name)
    await cp(model, folder, { recursive: true })
    await change(folder)
    return folder
  }
  const replaced = (file: string, by: (path: string) => Promise<unknown> | void) =>
    mutant(`${file}-${Math.abs(hash(by.toString()))}`, async (folder) => {
      await rm(join(folder, file), { force: true })
      await by(join(folder, file))
    })
  const fifo = (path: string): void => void execFileSync('mkfifo', [path])
  const zero = (path: string): Promise<void> => symlink('/dev/zero', path)
  const loop = (path: string): Promise<void> => symlink(path, path)
  const dangling = (path: string): Promise<void> => symlink('/nowhere/at/all', path)
  const files = [
    'config.json',
    'model.safetensors.index.json',
    'tokenizer.json',
    'LICENSE',
    'README.md',
  ]
  const cases: Case[] = []
  for (const file of files) {
    const isNeeded = file === 'config.json' || file.endsWith('index.json')
    for (const by of [fifo, zero, loop, dangling]) {
      const folder = await replaced(file, by)
      cases.push({
        name: `${file} that is ${by.name}`,
        args: ['expand', folder, '--out', `${folder}-grown`, ...SOLAR],
        ends: isNeeded ? ['bad_checkpoint', 'not_found'] : ['ok', 'bad_checkpoint', 'not_found'],
      })
    }
  }
  for (const by of [fifo, zero, loop, dangling]) {
    const folder = await replaced('tokenizer.json', by)
    const text = join(folder, 'text.txt')
    await writeFile(text, 'Once upon a time.')
    cases.push({
      name: `a tokenizer that is ${by.name}`,
      args: ['evaluate', folder, '--text', text],
      ends: ['bad_tokenizer', 'bad_checkpoint', 'not_found'],
    })
    const other = join(folder, 'other.txt')
    await Promise.resolve(by(other))
    cases.push({
      name: `a text that is ${by.name}`,
      args: ['evaluate', model, '--text', other],
      ends: ['bad_request', 'not_found', 'bad_tokenizer'],
    })
  }
  const hard = await mutant('hard', async (folder) => {
    await link(join(folder, 'config.json'), join(folder, 'config-too.json'))
  })
  cases.push({
    name: 'a hard link',
    args: ['expand', hard, '--out', `${hard}-grown`, ...SOLAR],
    ends: ['ok'],
  })
  if (process.getuid?.() !== 0) {
    const locked = await mutant('locked', (folder) => chmod(join(folder, 'config.json'), 0))
    cases.push({
      name: 'a config that may not be read',
      args: ['expand', locked, '--out', `${locked}-grown`, ...SOLAR],
      ends: ['path_denied'],
    })
  }
  return cases
}

const hash = (text: string): number =>
  [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7)

/** What killed jobs of this and of earlier versions left, and what is not theirs. */
async function partials(work: string, model: string): Promise<Case[]> {
  const place = join(work, 'left')
  await mkdir(place)
  const cases: Case[] = []
  const left = async (
    name: string,
    make: (out: string) => Promise<unknown>,
    ends: readonly string[],
    flags: readonly string[] = [],
  ): Promise<void> => {
    const out = join(place, name)
    await make(out)
    cases.push({
      name: `left: ${name}`,
      args: ['expand', model, '--out', out, ...SOLAR, ...flags],
      ends,
    })
  }
  const partial = async (out: string, files: Record<string, string>): Promise<void> => {
    await mkdir(`${out}.partial`)
    for (const [file, text] of Object.entries(files))
      await writeFile(join(`${out}.partial`, file), text)
  }
  const owner = (pid: number): string => JSON.stringify({ token: 'x', pid, host: hostname() })
  await left('empty-owner', (out) => partial(out, { '.lesa-owner.json': '' }), ['ok'])
  await left('reused', (out) => partial(out, { '.lesa-owner.json': owner(1) }), ['ok'])
  await left('empty-lock', (out) => appendFile(`${out}.partial.lock`, ''), ['ok'])
  await left('reused-lock', (out) => appendFile(`${out}.partial.lock`, owner(1)), ['ok'])
  await left('whole', (out) => cp(model, `${out}.partial`, { recursive: true }), ['ok'])
  await left('aside', (out) => cp(model, `${out}.replaced-0123abcd`, { recursive: true }), [
    'output_exists',
  ])
  await left(
    'both',
    async (out) => {
      await cp(model, out, { recursive: true })
      await cp(model, `${out}.replaced-0123abcd`, { recursive: true })
    },
    ['ok'],
    ['--overwrite'],
  )
  await left('foreign', (out) => partial(out, { 'notes.txt': 'mine' }), ['output_exists'])
  await left(
    'thesis',
    async (out) => {
      await mkdir(out)
      await writeFile(join(out, 'thesis.tex'), 'mine')
    },
    ['output_exists'],
    ['--overwrite'],
  )
  return cases
}
