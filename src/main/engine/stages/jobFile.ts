import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { stagesSpecSchema, type StagesSpec } from '@shared/jobs'
import { writeJsonAtomic } from '@system/files'

const JOB_FILE = 'job.json'

const schema = stagesSpecSchema.omit({ kind: true, job: true, only: true })

/** What a job's folder says of its job: everything that decides the grown model's weights. */
export type JobFile = Omit<StagesSpec, 'kind' | 'job' | 'only'>

/** Notes in a job's folder what the job is, for the assembly. Machines that work on one job all write the same. */
export async function writeJobFile(folder: string, spec: JobFile): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeJsonAtomic(join(folder, JOB_FILE), schema.parse(spec))
}

/**
 * Reads what {@link writeJobFile} wrote.
 *
 * @throws AppError `not_found` when the folder holds no job, `bad_request` when its file is damaged.
 */
export async function readJobFile(folder: string): Promise<JobFile> {
  const file = join(folder, JOB_FILE)
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('not_found', `${folder} holds no job.`, {
      hint: 'Start one with lesa expand … --job DIR --only TYPE.',
      context: { file, expected: 'a job file', actual: 'none' },
      cause,
    })
  })
  try {
    return schema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AppError('bad_request', `The job file ${file} is damaged.`, {
      context: { file },
      cause,
    })
  }
}
