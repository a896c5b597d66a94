import { readFile } from 'node:fs/promises'
import type { JobSnapshot, PlaceResult, PlaceSpec } from '@shared/jobs'
import type { MeasuredPlaces } from '@shared/places'
import type { PlacesRequest } from '@shared/placesRequest'
import { writeRecord } from '@system/files'
import type { BaseModel } from './BaseModel'
import { projectPaths } from './layout'
import { fileOfText } from './ownText'
import type { ProjectRecord } from './ProjectRecord'
import type { PartServices } from './services'

/** Of what the file holds. */
const VERSION = 1

interface PlacesFile extends MeasuredPlaces {
  readonly version: number
  /** Of the model that was measured. */
  readonly digest: string | null
}

/** What was measured last of the places in a project's model. */
export class Places {
  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly services: PartServices,
  ) {}

  /** `null` when nothing was measured, or another model, or the file cannot be read: it is measured again then. */
  async get(): Promise<MeasuredPlaces | null> {
    const { folder, file } = this.record
    try {
      const text = await readFile(projectPaths.places(folder), 'utf8')
      const { version, digest, ...measured } = JSON.parse(text) as PlacesFile
      return version === VERSION && digest === file.model.digest ? measured : null
    } catch {
      return null
    }
  }

  /** Queues the measurement. @throws AppError `not_found`, `model_missing`. */
  async measure(request: PlacesRequest): Promise<JobSnapshot> {
    const { name, path } = await fileOfText(this.record, request.text)
    const { path: model } = await this.base.ready()
    const { digest } = this.record.file.model
    const spec: PlaceSpec = {
      kind: 'place',
      model,
      text: path,
      blocks: request.blocks,
      candidates: [],
      device: request.device,
      seed: 0,
    }
    return this.services.jobs.start(spec, {
      owner: { project: this.record.id },
      observer: {
        onState: ({ result }) => {
          if (result?.kind !== 'place') return
          void this.#keep(result, name, digest).catch((error: unknown) => this.record.report(error))
        },
      },
    })
  }

  async #keep({ report, device }: PlaceResult, text: string, digest: string | null): Promise<void> {
    const kept: PlacesFile = {
      version: VERSION,
      digest,
      text,
      device: device.device,
      measuredAt: Date.now(),
      report,
    }
    await writeRecord(projectPaths.places(this.record.folder), kept)
    this.record.changed()
  }
}
