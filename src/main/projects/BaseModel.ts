import { join } from 'node:path'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import { hubPlaceOf, modelNameOf } from '@shared/hub'
import type { ModelSummary } from '@shared/model'
import type { ProjectModel, Relocation } from '@shared/projects'
import { exists } from '@system/files'
import { modelFolderOf } from '@system/hubCache'
import { resolveModelPath, storedModelPath } from './modelPath'
import type { ProjectRecord } from './ProjectRecord'
import type { PartServices } from './services'

/** The model that a project grows: where it is, and whether it is the one it was. */
export class BaseModel {
  #state: ProjectModel

  constructor(
    private readonly record: ProjectRecord,
    private readonly engine: PartServices['engine'],
  ) {
    const { path, name } = record.file.model
    this.#state = { state: 'missing', path, name }
  }

  get state(): ProjectModel {
    return this.#state
  }

  /**
   * Looks again where what is known may not be true any more: whether a model that was there still is, and whether one
   * that was not is back. What a person is told changes with it.
   */
  async refresh(): Promise<void> {
    const before = this.#state
    if (before.state === 'ready' && (await exists(join(before.path, 'config.json')))) return
    await this.check()
    if (this.#state.state !== before.state) this.record.changed()
  }

  /** Looks whether the model is where it should be, and is the one it should be. */
  async check(): Promise<void> {
    const { path: stored, name: known, digest } = this.record.file.model
    const path = resolveModelPath(this.record.folder, stored)
    // Earlier versions called a model in the cache by its commit.
    const name = (path === null ? null : hubPlaceOf(path)?.repository) ?? known
    if (path === null) {
      this.#state = { state: 'missing', path: stored, name }
      return
    }
    try {
      const summary = await this.engine.inspect(path)
      const found = await this.engine.identify(path)
      const state = found.digest === digest ? 'ready' : 'changed'
      this.#state = { state, path, name, summary }
    } catch (thrown) {
      const error = toAppError(thrown)
      this.#state =
        error.code === 'not_found'
          ? { state: 'missing', path, name }
          : { state: 'broken', path, name, error: withoutStack(error) }
    }
  }

  /**
   * Takes the model from another place.
   *
   * @param layers Of the model so far, where a run tells.
   * @returns How the model there is another one, which was not accepted or cannot be; `null` when it was taken.
   * @throws AppError what opening it throws.
   */
  async relocate(
    given: string,
    acceptDifferent: boolean,
    layers: number | undefined,
  ): Promise<Extract<Relocation, { outcome: 'different' }> | null> {
    const { engine, record } = this
    const path = await modelFolderOf(given)
    const [summary, identity] = [await engine.inspect(path), await engine.identify(path)]
    const { digest, shape } = record.file.model
    const isCompatible = shape === null || shape === identity.shape
    const isSame = digest === null || digest === identity.digest
    if (!isSame && (!isCompatible || !acceptDifferent)) {
      const differences = isCompatible
        ? ['It has the same shape, but other weights: it is another model, or was trained further.']
        : shapeDifferences(summary, layers)
      return { outcome: 'different', isCompatible, differences }
    }
    await record.change({
      model: { path: storedModelPath(record.folder, path), name: modelNameOf(path), ...identity },
      // What was measured on the old model does not hold for another one.
      ...(isSame
        ? {}
        : { perplexities: record.file.perplexities.filter(({ subject }) => subject !== 'base') }),
    })
    await this.check()
    record.changed()
    return null
  }

  /** @throws AppError `model_missing` when the model is not there now, or another one is. */
  async ready(): Promise<Extract<ProjectModel, { state: 'ready' }>> {
    await this.refresh()
    const model = this.#state
    if (model.state === 'ready') return model
    const what = {
      missing: 'is not where it was',
      changed: 'has been replaced by another one',
      broken: 'cannot be read',
    }[model.state]
    throw new AppError('model_missing', `The project's model ${what}.`, {
      hint: 'Say where it is now.',
      context: { file: model.path },
    })
  }
}

function shapeDifferences(found: ModelSummary, layers: number | undefined): string[] {
  return [
    `It is ${found.architecture} with ${found.num_hidden_layers} layers of width ${found.hidden_size}.`,
    layers !== undefined && layers !== found.num_hidden_layers
      ? `The project's model has ${layers} layers.`
      : "Its tensors do not have the names and shapes of the project's model.",
  ]
}

function withoutStack(error: AppError): AppErrorData {
  const { stack: _, ...data } = error.toData()
  return data
}
