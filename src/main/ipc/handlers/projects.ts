import { readFile } from 'node:fs/promises'
import { parseAnalysis, type RunAnalysis } from '@shared/analysis'
import type { EstimatedSpec } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import type { Estimate } from '@shared/estimate'
import { usesPredictions } from '@shared/heldOut'
import { wasTrained, type RunSettings, type TextPlace } from '@shared/projects'
import { DEFAULT_TRAINING, type TrainingRequest } from '@shared/trainings'
import { readError, systemCode } from '@system/errors'
import { expandArguments, quoteCommand } from '../../cli/expandCommand'
import { pretrainArguments } from '../../cli/pretrainCommand'
import type { EngineClient } from '../../jobs/EngineClient'
import { runPaths } from '../../projects/layout'
import type { Project } from '../../projects/Project'
import type { ProjectManager } from '../../projects/ProjectManager'
import type { PathGrants } from '../PathGrants'
import type { Handlers } from '../router'

type ProjectHandlers = Pick<
  Handlers,
  Extract<
    keyof Handlers,
    `${
      | 'projects'
      | 'runs'
      | 'descents'
      | 'trainings'
      | 'comparisons'
      | 'evaluations'
      | 'continuations'
      | 'exports'}:${string}`
  >
>

export type Estimator = (
  spec: EstimatedSpec,
  options: { readonly keepsStages: boolean; readonly isRecorded: boolean },
) => Promise<Estimate>

export interface ProjectHandlerServices {
  readonly engine: Pick<EngineClient, 'call'>
  readonly projects: ProjectManager
  readonly grants: PathGrants
  readonly estimate: Estimator
  readonly onRecents: () => Promise<void>
}

export function projectHandlers(services: ProjectHandlerServices): ProjectHandlers {
  const { engine, projects, grants, estimate, onRecents } = services

  /** What an opened project leads to may be looked at: its folder, its model's, and texts that it has trained on. */
  const opened = async (project: Project): Promise<ReturnType<Project['view']>> => {
    grants.grant(project.folder)
    const { state: model } = project.base
    if (model.state === 'ready' || model.state === 'changed') grants.grant(model.path)
    const view = project.view()
    const texts = [
      ...(view.comparison?.request.race?.texts ?? []),
      ...view.trainings.flatMap(({ settings: { texts, evalText, forgettingText } }) => [
        ...texts,
        evalText,
        forgettingText,
      ]),
      ...[view.draft, ...view.runs.map(({ settings }) => settings)].flatMap(({ calibration }) =>
        calibration ? [calibration.text, calibration.oldText] : [],
      ),
    ]
    for (const text of texts) if (text && 'path' in text) grants.grant(text.path)
    for (const { elsewhere } of view.runs) if (elsewhere) grants.grant(elsewhere.path)
    for (const { also = [] } of [view.draft, ...view.runs.map(({ settings }) => settings)]) {
      for (const folder of also) grants.grant(folder)
    }
    await onRecents()
    return view
  }
  const changed = async (
    id: string,
    change: (project: Project) => Promise<unknown>,
  ): Promise<ReturnType<Project['view']>> => {
    const project = projects.get(id)
    await change(project)
    return project.view()
  }

  const openedText = async (text: TextPlace): Promise<TextPlace> =>
    'text' in text ? text : { path: await grants.require(text.path) }

  /** What a growth reads beside the model, which the person has opened. @throws AppError `path_denied` for the rest. */
  const openedGrowth = async (settings: RunSettings): Promise<RunSettings> => {
    const { also, calibration } = settings
    return {
      ...settings,
      ...(also === undefined
        ? {}
        : { also: await Promise.all(also.map((folder) => grants.require(folder))) }),
      ...(calibration === undefined
        ? {}
        : {
            calibration: {
              ...calibration,
              text: await openedText(calibration.text),
              ...(calibration.oldText ? { oldText: await openedText(calibration.oldText) } : {}),
            },
          }),
    }
  }

  /** A training's texts that the person has opened. @throws AppError `path_denied` for others. */
  const openedTexts = async ({
    settings,
    grow,
    ...request
  }: TrainingRequest): Promise<TrainingRequest> => {
    const { texts, evalText, forgettingText } = settings
    return {
      ...request,
      grow: await Promise.all(grow.map(openedGrowth)),
      settings: {
        ...settings,
        texts: await Promise.all(texts.map(openedText)),
        ...(evalText === undefined ? {} : { evalText: await openedText(evalText) }),
        ...(forgettingText === undefined
          ? {}
          : { forgettingText: await openedText(forgettingText) }),
      },
    }
  }

  return {
    'projects:list': () =>
      projects.list().map(({ id, name, folder }) => ({ id, name, path: folder })),
    'projects:create': async ({ name, model, parent }) =>
      opened(
        await projects.create({
          name,
          model: await grants.require(model),
          ...(parent === undefined ? {} : { parent: await grants.require(parent) }),
        }),
      ),
    'projects:createDemo': async () => opened(await projects.createDemo()),
    'projects:open': async (path, { force } = { force: false }) =>
      opened(await projects.open(await grants.require(path), { force })),
    'projects:get': (id) =>
      changed(id, async (project) => {
        await project.base.refresh()
        await project.runs.refresh()
      }),
    'projects:close': async (id) => {
      await projects.close(id)
      return null
    },
    'projects:update': (id, patch) => changed(id, (project) => project.update(patch)),
    'projects:rename': async (id, name) => changed(id, (project) => project.rename(name)),
    'projects:duplicate': async (id, options) => opened(await projects.duplicate(id, options)),
    'projects:clearWork': (id) => changed(id, (project) => project.clearWork()),
    'projects:delete': async (id) => {
      const movedTo = await projects.delete(id)
      await onRecents()
      return { movedTo }
    },
    'projects:relocateModel': async (id, path, { acceptDifferent }) =>
      projects.get(id).relocateModel(await grants.require(path), acceptDifferent),
    'projects:addText': async (id, source) => {
      const project = projects.get(id)
      const added = await (typeof source === 'string'
        ? project.texts.add(await grants.require(source))
        : project.texts.addContent(source.name, source.content))
      return { project: project.view(), ...added }
    },
    'projects:removeText': (id, text) => changed(id, (project) => project.texts.remove(text)),
    'projects:splitText': async (id, text) => {
      const project = projects.get(id)
      const parts = await project.texts.split(text)
      return { project: project.view(), parts }
    },
    'projects:places': (id) => projects.get(id).places.get(),
    'projects:measurePlaces': (id, request) => projects.get(id).places.measure(request),
    'projects:compare': (id, subjects) => projects.get(id).compare(subjects),

    'runs:estimate': async (id, settings) =>
      estimate(await projects.get(id).runs.specFor(await openedGrowth(settings)), {
        keepsStages: true,
        isRecorded: true,
      }),
    'runs:command': async (id, settings) => {
      const spec = await projects.get(id).runs.specFor(await openedGrowth(settings))
      const words = expandArguments({ ...spec, out: 'grown', overwrite: false })
      return `lesa ${quoteCommand(words, process.platform)}`
    },
    'runs:start': async (id, { settings, name }) =>
      projects.get(id).runs.start(await openedGrowth(settings), name),
    'runs:resume': (id, run) => projects.get(id).runs.resume(run),
    'runs:retry': (id, run) => projects.get(id).runs.retry(run),
    'runs:get': (id, run) => projects.get(id).runs.detail(run),
    'runs:series': (id, run, { maxPoints }) => projects.get(id).runs.get(run).series(maxPoints),
    'runs:analysis': (id, run) => readAnalysis(projects.get(id).runs.get(run).folder),
    'runs:projection': (id, run, { type, method, seed, perplexity }) => {
      const { folder, file } = projects.get(id).runs.get(run)
      // Trained layers are not what was predicted any more.
      const isPredicted = usesPredictions(file.settings.method.name) && !wasTrained(file)
      return engine.call('projection', {
        folder,
        type,
        method,
        seed,
        isBaseOnly: !isPredicted,
        ...(perplexity === undefined ? {} : { perplexity }),
      })
    },
    'runs:rename': (id, run, name) => changed(id, (project) => project.runs.rename(run, name)),
    'runs:delete': (id, run) => changed(id, (project) => project.runs.delete(run)),
    'runs:deleteModel': (id, run) => changed(id, (project) => project.runs.deleteModel(run)),

    'descents:match': async (id, path) =>
      projects.get(id).descents.match(await grants.require(path)),
    'descents:start': async (id, { path, run }) =>
      projects.get(id).descents.start({ path: await grants.require(path), run }),
    'descents:get': (id, run) => projects.get(id).descents.get(run),

    'trainings:starts': (id, settings) => projects.get(id).trainings.starts(settings),
    'trainings:estimate': async (id, request) =>
      estimate(await projects.get(id).trainings.specFor(await openedTexts(request)), {
        keepsStages: true,
        isRecorded: false,
      }),
    'trainings:command': async (id, request) => {
      // States are kept where --job says; the command line has no project to keep them in.
      const { job: _, ...spec } = await projects
        .get(id)
        .trainings.specFor(await openedTexts(request))
      const words = pretrainArguments({ ...spec, out: 'trained', overwrite: false })
      return `lesa ${quoteCommand(words, process.platform)}`
    },
    'trainings:start': async (id, request) =>
      projects.get(id).trainings.start(await openedTexts(request)),
    'trainings:resume': (id, training) => projects.get(id).trainings.resume(training),
    'trainings:get': (id, training) => projects.get(id).trainings.detail(training),
    'trainings:series': (id, training, { maxPoints }) =>
      projects.get(id).trainings.series(training, maxPoints),
    'trainings:rename': (id, training, name) =>
      changed(id, (project) => project.trainings.rename(training, name)),
    'trainings:delete': (id, training) =>
      changed(id, (project) => project.trainings.delete(training)),

    'comparisons:start': async (id, { like, calibration, race, ...request }) => {
      const { settings } = await openedTexts({
        settings: { runs: [], ...(race ?? { ...DEFAULT_TRAINING, texts: [] }) },
        grow: [],
      })
      const opened = await openedGrowth(calibration === undefined ? like : { ...like, calibration })
      const { runs: _, ...trained } = settings
      return changed(id, (project) =>
        project.comparisons.start({
          ...request,
          like: opened,
          calibration: opened.calibration,
          ...(race === undefined ? {} : { race: trained }),
        }),
      )
    },
    'comparisons:stop': (id) => changed(id, (project) => project.comparisons.stop()),
    'comparisons:resume': (id) => changed(id, (project) => project.comparisons.resume()),
    'comparisons:clear': (id) => changed(id, (project) => project.comparisons.clear()),

    'evaluations:start': (id, request) => projects.get(id).texts.measure(request),
    'continuations:start': (id, request) => projects.get(id).continuations.start(request),
    'exports:preview': async (id, run, options) => {
      const out = await grants.require(options.out)
      const project = projects.get(id)
      const spec = project.exports.specFor(run, { ...options, out })
      const preview = await engine.call('exportPreview', spec)
      const refusal = project.exports.refusal(out)
      const problems = refusal === null ? preview.problems : [refusal, ...preview.problems]
      // Of a disk or a home folder the engine says the same.
      return {
        ...preview,
        problems: [...new Set(problems)],
        publishable: project.exports.publishable(run),
      }
    },
    'exports:recipes': (id, run, path) =>
      engine.call('recipes', projects.get(id).exports.placeOf(run, path)),
    'exports:start': async (id, run, options) => {
      const out = await grants.require(options.out)
      return projects.get(id).exports.start(run, { ...options, out })
    },
  }
}

/** What the engine has left of a run; `null` while there is nothing. @throws AppError `damaged_file` */
async function readAnalysis(run: string): Promise<RunAnalysis | null> {
  const file = runPaths.analysis(run)
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null
    throw readError(error, file, 'damaged_file')
  })
  if (text === null) return null
  const analysis = parseAnalysis(text)
  if (analysis) return analysis
  throw new AppError('damaged_file', `${file} is damaged, so its pictures cannot be shown.`, {
    hint: 'Run it again.',
    context: { file },
  })
}
