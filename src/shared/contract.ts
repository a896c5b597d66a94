import { z } from 'zod'
import { PROJECTIONS, type DirectionProjection, type RunAnalysis } from './analysis'
import type { CommandId } from './commands'
import { comparisonRequestSchema, type TextSplit } from './comparisons'
import type { DeviceReport } from './devices'
import type { AppErrorData } from './errors'
import type { Estimate } from './estimate'
import { exportOptionsSchema, type ExportPreview } from './exports'
import {
  evaluateSpecSchema,
  expandSpecSchema,
  jobSpecSchema,
  type DescentResult,
  type JobSnapshot,
  type JobUpdate,
  pretrainSpecSchema,
} from './jobs'
import type { ModelCache } from './hub'
import type { GrowthPreview, ModelConfigText, ModelSummary } from './model'
import { type MeasuredPlaces } from './places'
import { placesRequestSchema } from './placesRequest'
import {
  continuationRequestSchema,
  evaluationRequestSchema,
  projectIdSchema,
  projectNameSchema,
  projectPatchSchema,
  runIdSchema,
  runSettingsSchema,
  subjectSchema,
  trainedCheckpointSchema,
  textIdSchema,
  textSourceSchema,
  type Comparison,
  type ProjectId,
  type ProjectView,
  type Relocation,
  type RunDetail,
  type RunSeries,
  type RunSummary,
  type TextAddition,
  type TrainedMatch,
} from './projects'
import type { RecipeOverview } from './recipes'
import { settingsPatchSchema, type RecentEntry, type Settings } from './settings'
import type { StatisticsState, TensorDetails, TensorTable } from './statistics'
import { weightTypeSchema } from './slots'
import { TEXT_PURPOSES } from './textFiles'
import {
  trainingIdSchema,
  trainingRequestSchema,
  type StartChoice,
  type TrainingDetail,
  type TrainingSummary,
} from './trainings'

/** What carries the window: the desktop shell, or a browser on this machine. */
export type HostKind = 'electron' | 'browser'

export interface AppInfo {
  readonly version: string
  readonly host: HostKind
  readonly platform: 'linux' | 'win32' | 'darwin' | 'other'
  /** What joins the parts of a path here. */
  readonly pathSeparator: '/' | '\\'
  /** Where a person may write; the bundled model's own folder is not such a place. */
  readonly home: string
  /** Where new projects are made unless another folder is named. */
  readonly projectsFolder: string
  /** Folders are deleted to the system's own trash; otherwise to a folder `.trash` beside them. */
  readonly hasSystemTrash: boolean
  /** `files:reveal` works. */
  readonly canReveal: boolean
  /** The bundled model and its text. */
  readonly demoModel: string
  readonly demoText: string
}

export interface FolderListing {
  readonly path: string
  /** `null` at the top. */
  readonly parent: string | null
  readonly folders: readonly {
    readonly name: string
    readonly isModel: boolean
    readonly isProject: boolean
  }[]
  /** Text files, when they were asked for: those that there are for the purpose, by default to measure on. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
}

/** What a folder holds, for deciding what opening or dropping it means; `path` is the folder to open. */
export interface FolderKind {
  readonly path: string
  readonly kind: 'project' | 'model' | 'other'
  /** Of `other`: what it is instead and what can be done, where that can be told. */
  readonly problem?: AppErrorData
}

/** What a native dialog is for. */
export const CHOOSE_PURPOSES = ['model', 'project', 'output', 'folder'] as const
export type ChoosePurpose = (typeof CHOOSE_PURPOSES)[number]

const path = z.string().min(1).max(4096)
/** Longer than any that is in use; a safetensors header bounds it no further. */
const tensorName = z.string().min(1).max(4096)
const jobId = z.string().min(1).max(64)
const run = [projectIdSchema, runIdSchema] as const
const training = [projectIdSchema, trainingIdSchema] as const
const seriesOptions = z.object({ maxPoints: z.int().min(2).max(2_000_000) })

/**
 * Validators of every call's arguments. The router checks them; everything else is derived from here.
 *
 * Paths are honoured only inside folders that the person opened: chosen in a native dialog or in the picker
 * (`folders:open`), dropped on the window, or in the list of recents. Others are answered by `path_denied`.
 */
export const callArguments = {
  'app:info': z.tuple([]),
  'settings:get': z.tuple([]),
  'settings:update': z.tuple([settingsPatchSchema]),
  'recents:list': z.tuple([]),
  'recents:remove': z.tuple([path]),
  'recents:clear': z.tuple([]),
  'devices:list': z.tuple([]),

  'folders:list': z.tuple([
    path.nullable(),
    z.object({ withTexts: z.boolean(), purpose: z.enum(TEXT_PURPOSES).optional() }).optional(),
  ]),
  'folders:choose': z.tuple([z.enum(CHOOSE_PURPOSES).optional()]),
  'folders:open': z.tuple([path]),
  'folders:identify': z.tuple([path]),
  'files:chooseText': z.tuple([z.enum(TEXT_PURPOSES).optional()]),
  'files:reveal': z.tuple([path]),

  'models:cached': z.tuple([]),
  'models:inspect': z.tuple([path]),
  'models:config': z.tuple([path]),
  'models:tensors': z.tuple([path]),
  'models:tensor': z.tuple([path, tensorName]),
  'models:growth': z.tuple([path, runSettingsSchema]),
  'models:statistics': z.tuple([path]),
  'models:computeStatistics': z.tuple([path]),

  'projects:list': z.tuple([]),
  'projects:create': z.tuple([
    z.object({ name: projectNameSchema, model: path, parent: path.optional() }),
  ]),
  'projects:createDemo': z.tuple([]),
  'projects:open': z.tuple([path, z.object({ force: z.boolean() }).optional()]),
  'projects:get': z.tuple([projectIdSchema]),
  'projects:close': z.tuple([projectIdSchema]),
  'projects:update': z.tuple([projectIdSchema, projectPatchSchema]),
  'projects:rename': z.tuple([projectIdSchema, projectNameSchema]),
  'projects:duplicate': z.tuple([
    projectIdSchema,
    z.object({ name: projectNameSchema, withRuns: z.boolean() }),
  ]),
  'projects:clearWork': z.tuple([projectIdSchema]),
  'projects:delete': z.tuple([projectIdSchema]),
  'projects:relocateModel': z.tuple([
    projectIdSchema,
    path,
    z.object({ acceptDifferent: z.boolean() }),
  ]),
  'projects:addText': z.tuple([projectIdSchema, textSourceSchema]),
  'projects:removeText': z.tuple([projectIdSchema, textIdSchema]),
  'projects:splitText': z.tuple([projectIdSchema, textIdSchema]),
  'projects:places': z.tuple([projectIdSchema]),
  'projects:measurePlaces': z.tuple([projectIdSchema, placesRequestSchema]),
  'projects:compare': z.tuple([projectIdSchema, z.array(subjectSchema).max(1_000).optional()]),

  'runs:estimate': z.tuple([projectIdSchema, runSettingsSchema]),
  'runs:command': z.tuple([projectIdSchema, runSettingsSchema]),
  'runs:start': z.tuple([
    projectIdSchema,
    z.object({ settings: runSettingsSchema, name: projectNameSchema.optional() }),
  ]),
  'runs:resume': z.tuple(run),
  'runs:retry': z.tuple(run),
  'runs:get': z.tuple(run),
  'runs:series': z.tuple([...run, seriesOptions]),
  'runs:analysis': z.tuple(run),
  'runs:projection': z.tuple([
    ...run,
    z.object({
      type: weightTypeSchema,
      method: z.enum(PROJECTIONS),
      seed: z.int().min(0).max(0xffff_ffff),
      /** Of t-SNE; about the number of neighbours that count. */
      perplexity: z.number().min(1).max(100).optional(),
    }),
  ]),
  'runs:rename': z.tuple([...run, projectNameSchema]),
  'runs:delete': z.tuple(run),
  'runs:deleteModel': z.tuple(run),

  'descents:match': z.tuple([projectIdSchema, path]),
  'descents:start': z.tuple([projectIdSchema, trainedCheckpointSchema]),
  'descents:get': z.tuple(run),

  'trainings:starts': z.tuple([projectIdSchema, runSettingsSchema]),
  'trainings:estimate': z.tuple([projectIdSchema, trainingRequestSchema]),
  'trainings:command': z.tuple([projectIdSchema, trainingRequestSchema]),
  'trainings:start': z.tuple([projectIdSchema, trainingRequestSchema]),
  'trainings:resume': z.tuple(training),
  'trainings:get': z.tuple(training),
  'trainings:series': z.tuple([...training, seriesOptions]),
  'trainings:rename': z.tuple([...training, projectNameSchema]),
  'trainings:delete': z.tuple(training),

  'comparisons:start': z.tuple([projectIdSchema, comparisonRequestSchema]),
  'comparisons:stop': z.tuple([projectIdSchema]),
  'comparisons:resume': z.tuple([projectIdSchema]),
  'comparisons:clear': z.tuple([projectIdSchema]),

  'evaluations:start': z.tuple([projectIdSchema, evaluationRequestSchema]),
  'continuations:start': z.tuple([projectIdSchema, continuationRequestSchema]),
  'exports:preview': z.tuple([...run, exportOptionsSchema]),
  'exports:start': z.tuple([...run, exportOptionsSchema]),
  'exports:recipes': z.tuple([...run, path]),

  'jobs:estimate': z.tuple([
    z.discriminatedUnion('kind', [expandSpecSchema, evaluateSpecSchema, pretrainSpecSchema]),
  ]),
  'jobs:start': z.tuple([jobSpecSchema]),
  'jobs:cancel': z.tuple([jobId]),
  'jobs:pause': z.tuple([jobId]),
  'jobs:get': z.tuple([jobId]),
  'jobs:list': z.tuple([]),
  'jobs:moveBefore': z.tuple([jobId, jobId.nullable()]),
} as const satisfies Record<keyof CallResults, z.ZodType>

/** What each call answers. */
export interface CallResults {
  'app:info': AppInfo
  'settings:get': Settings
  /** Changes the named ones; answers all. */
  'settings:update': Settings
  /** Newest first. */
  'recents:list': readonly RecentEntry[]
  /** Forgets an entry; nothing is deleted. */
  'recents:remove': readonly RecentEntry[]
  'recents:clear': readonly RecentEntry[]
  'devices:list': readonly DeviceReport[]

  /** Subfolders of a folder, the home folder for `null`: for the browser host, which has no native dialog. */
  'folders:list': FolderListing
  /** The native folder dialog; `null` when it was dismissed or there is none. The folder counts as opened. */
  'folders:choose': string | null
  /**
   * The person chose this folder (or file) in the browser host's picker, or typed it there; answers its full path, which
   * counts as opened. Under Electron, where native dialogs do that, `path_denied` unless it is opened already.
   */
  'folders:open': string
  'folders:identify': FolderKind
  /** The native dialog for a text file, to measure on by default; `null` when it was dismissed or there is none. */
  'files:chooseText': string | null
  /** Shows a file or folder in the system's file manager; `bad_request` where there is none. */
  'files:reveal': null

  /** What the Hugging Face cache on this machine holds; its models count as opened. */
  'models:cached': ModelCache
  /** Adds the model to the recents. */
  'models:inspect': ModelSummary
  'models:config': ModelConfigText
  'models:tensors': TensorTable
  /** Reads the whole tensor: gigabytes take seconds. */
  'models:tensor': TensorDetails
  /** What growing does to depth, parameters, size and config; throws what the plan would. */
  'models:growth': GrowthPreview
  'models:statistics': StatisticsState
  /** Starts (or finds) the job that computes them; when it has succeeded, `models:statistics` has them. */
  'models:computeStatistics': JobSnapshot

  /** The projects that are open in the program, whichever window opened them. */
  'projects:list': readonly {
    readonly id: ProjectId
    readonly name: string
    readonly path: string
  }[]
  /**
   * Makes the folder `name` in `parent` (the projects folder by default; a number is added to a name that is taken).
   */
  'projects:create': ProjectView
  /** The bundled model and text as a project of their own, complete in one folder. Each call makes a new one. */
  'projects:createDemo': ProjectView
  /**
   * Opens a project folder. Throws `not_found` without a `project.json`, `unsupported_version` for a newer one, `in_use`
   * when another program has it open (its context names the lock as `file`); `force` takes it from that program. A damaged `project.json` is set aside and what can be is recovered from it and
   * from the runs: `problems` of the answer says so.
   */
  'projects:open': ProjectView
  /** `not_found` when it is not open: open it by its path (`recents:list`). */
  'projects:get': ProjectView
  /** Its jobs go on. */
  'projects:close': null
  'projects:update': ProjectView
  /** The name only; the folder stays where it is. */
  'projects:rename': ProjectView
  /** A copy beside it, opened. Grown checkpoints are not copied. */
  'projects:duplicate': ProjectView
  /** Removes what later runs could use and unfinished trainings could go on from; `bad_request` while a job of the project is open. */
  'projects:clearWork': ProjectView
  /** To the trash, once its jobs have ended (`bad_request` before); answers where to, where that is a folder. */
  'projects:delete': { readonly movedTo: string | null }
  'projects:relocateModel': Relocation
  /** Copies a UTF-8 text into the project: a file of the machine that the program runs on, or one that the window holds. */
  'projects:addText': TextAddition
  /** Its perplexities go with it. */
  'projects:removeText': ProjectView
  /** Adds a text's first and second half, cut at the end of a line, as two texts; the whole one stays. */
  'projects:splitText': TextSplit
  /** What was measured last of the places in the project's model; `null` when nothing was. */
  'projects:places': MeasuredPlaces | null
  /** Queues the measurement; when it has succeeded, `projects:places` has it. */
  'projects:measurePlaces': JobSnapshot
  /** The base first, then runs, newest first; all that have succeeded by default. */
  'projects:compare': Comparison

  'runs:estimate': Estimate
  /** A line for the shell that people have on this system, which does the same by the command line. */
  'runs:command': string
  /** Queues a run. Its job is `run.job`. */
  'runs:start': RunSummary
  /** Goes on with a run that was interrupted, cancelled or failed, from the stages it had finished. */
  'runs:resume': RunSummary
  /**
   * Runs the same once more, with the same settings and seed. Such a run goes on with its record; of one that has
   * succeeded, or was made from another model, a new run is made, and its own record stays. `bad_request` for one that was
   * trained: its training is started again.
   */
  'runs:retry': RunSummary
  'runs:get': RunDetail
  'runs:series': RunSeries
  /** `null` while there is none. */
  'runs:analysis': RunAnalysis | null
  /** `not_found` where the method has no directions. */
  'runs:projection': DirectionProjection
  'runs:rename': ProjectView
  /** With everything in its folder, for good; `bad_request` while a job makes or reads it. Its trainings stay. */
  'runs:delete': ProjectView
  /** The grown checkpoint only, to free its space. */
  'runs:deleteModel': ProjectView

  /**
   * Which runs a checkpoint that was trained elsewhere can have come from. The path must have been opened, as that of
   * `descents:start`; throws what opening it throws.
   */
  'descents:match': TrainedMatch
  /**
   * Queues the comparison of a trained checkpoint with the run that it came from. When it has succeeded it is a run of its
   * own (`RunSummary.elsewhere`), which only reads the folder.
   */
  'descents:start': JobSnapshot
  /** What the training of such a run changed. */
  'descents:get': DescentResult

  /** Every method at the depth of these settings: which run is one, what has to be grown, what cannot be. */
  'trainings:starts': readonly StartChoice[]
  /**
   * What the training itself will cost, without growing what is missing (`runs:estimate`); `bad_request` as long as none
   * of its models has been grown.
   */
  'trainings:estimate': Estimate
  /** As `runs:command`, of what is grown already. */
  'trainings:command': string
  /**
   * Queues what is to be grown, and the training behind it, which waits for all its runs; when one of them is not grown it
   * fails and says which. Its job is `training.job`, the curves are the job's series. Each model that it has trained
   * becomes a run of its own (`RunSummary.training`). Paths must have been opened (`files:chooseText`, `folders:open` …).
   */
  'trainings:start': TrainingSummary
  /**
   * Goes on with a training that was interrupted, paused, cancelled or failed, from the last state that it kept; before it
   * with the growths that it waits for.
   */
  'trainings:resume': TrainingSummary
  'trainings:get': TrainingDetail
  /** All its curves, by the names of `curveSeries`; `BASE_NAME` for the base's. */
  'trainings:series': RunSeries
  'trainings:rename': ProjectView
  /** For good, with what it could go on from; the runs that it has made stay. `bad_request` while its job is open. */
  'trainings:delete': ProjectView

  /**
   * Grows the methods that are missing at a depth, measures all, and trains them where asked for; `bad_request` while one
   * runs, or when a start would be fitted to, or trained on, the text that it is measured on. It takes the place of the one
   * before, whose runs stay.
   */
  'comparisons:start': ProjectView
  /** Cancels what it has begun; what is finished stays. */
  'comparisons:stop': ProjectView
  /** Goes on with one that was stopped, interrupted or failed. */
  'comparisons:resume': ProjectView
  /** Forgets one that does not run; its runs and measurements stay. */
  'comparisons:clear': ProjectView

  /** Subjects that have been measured so are left out; `bad_request` when nothing is left. */
  'evaluations:start': JobSnapshot
  /** Continues a text with models of the project; `not_found` for one that is not on the disk. */
  'continuations:start': JobSnapshot
  'exports:preview': ExportPreview
  /** `not_found` when the grown checkpoint was deleted: run again first. */
  'exports:start': JobSnapshot
  /**
   * What stands in an export's `recipes/`, the path being one that the run was exported to; `null` where it has none, or is
   * gone.
   */
  'exports:recipes': RecipeOverview | null

  'jobs:estimate': Estimate
  'jobs:start': JobSnapshot
  'jobs:cancel': JobSnapshot
  /** Ends it as `paused` once what it computes is kept; `bad_request` for one that keeps nothing. */
  'jobs:pause': JobSnapshot
  'jobs:get': JobSnapshot
  /** In the order in which they were or will be run. */
  'jobs:list': readonly JobSnapshot[]
  /** Moves a waiting job before another one, or to the end. */
  'jobs:moveBefore': readonly JobSnapshot[]
}

/** What is pushed without being asked for. */
export interface Pushes {
  /** A change of state at once, all else at most ten times a second. `foldUpdate` says when one was missed. */
  'jobs:changed': JobUpdate
  /** All ids, in the order of `jobs:list`. */
  'jobs:reordered': readonly string[]
  'projects:changed': ProjectView
  'recents:changed': readonly RecentEntry[]
  'settings:changed': Settings
  /** A menu item was chosen. */
  'app:command': CommandId
}

export type CallName = keyof CallResults
export type CallArguments<C extends CallName> = z.infer<(typeof callArguments)[C]>
export type PushName = keyof Pushes

export function isCallName(name: unknown): name is CallName {
  return typeof name === 'string' && Object.hasOwn(callArguments, name)
}

/** Electron passes only an error's text, so answers are wrapped on every host. */
export type Envelope<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: AppErrorData }

export type Unsubscribe = () => void

/** What a host gives the renderer: `window.lesa` under Electron, a WebSocket client in a browser. */
export interface Transport {
  call<C extends CallName>(name: C, args: CallArguments<C>): Promise<Envelope<CallResults[C]>>
  subscribe<P extends PushName>(name: P, listener: (payload: Pushes[P]) => void): Unsubscribe
  /** The path of a file dropped on the window; `null` where the host cannot tell. */
  pathOfFile(file: unknown): string | null
  /** Tells of the line to the program, where there is one that can break: now, and whenever it changes. */
  onConnection?(listener: (isConnected: boolean) => void): Unsubscribe
  /** Tells when the program does not know this window's key any more, so that the line will not come back. */
  onRefused?(listener: () => void): Unsubscribe
}
