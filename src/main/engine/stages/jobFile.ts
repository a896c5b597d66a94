import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '@shared/errors'
import { stagesSpecSchema, type StagesSpec } from '@shared/jobs'
import { readError, systemCode, writeError } from '@system/errors'
import { makeFolder, writeJsonAtomic } from '@system/files'

const JOB_FILE = 'job.json'

const schema = stagesSpecSchema.omit({ kind: true, job: true, only: true })

/** What a job's folder says of its job: everything that decides the grown model's weights. */
export type JobFile = Omit<StagesSpec, 'kind' | 'job' | 'only'>

/** A job with a digest of itself: one wrong bit may read as another job. */
const storedSchema = z.looseObject({ sha256: z.string() })

/** Notes in a job's folder what the job is, for the assembly. Machines that work on one job all write the same. */
export async function writeJobFile(folder: string, spec: JobFile): Promise<void> {
  const job = schema.parse(spec)
  try {
    await makeFolder(folder)
    await writeJsonAtomic(join(folder, JOB_FILE), { ...job, sha256: digestOf(job) })
  } catch (error) {
    throw writeError(error, folder)
  }
}

/**
 * Reads what {@link writeJobFile} wrote.
 *
 * @throws AppError `not_found` when the folder holds no job, `damaged_file` when its file is not what was written.
 */
export async function readJobFile(folder: string): Promise<JobFile> {
  const file = join(folder, JOB_FILE)
  if (!(await stat(file).catch(() => null))?.isFile()) {
    throw new AppError('not_found', `${folder} holds no job.`, {
      hint: 'Start one with lesa expand … --job DIR --only TYPE.',
      context: { file, expected: 'a job file', actual: 'none' },
    })
  }
  try {
    const { sha256, ...stored } = storedSchema.parse(JSON.parse(await readFile(file, 'utf8')))
    const job = schema.parse(stored)
    if (sha256 === digestOf(job)) return job
    throw new Error('another checksum')
  } catch (cause) {
    if (systemCode(cause) !== '') throw readError(cause, file, 'damaged_file')
    throw new AppError('damaged_file', `The job file ${file} is damaged.`, {
      hint: 'Run lesa expand … --job with the same settings again: it writes the file anew, and finds its stages.',
      context: { file },
      cause,
    })
  }
}

function digestOf(job: JobFile): string {
  return createHash('sha256').update(JSON.stringify(job)).digest('hex')
}
