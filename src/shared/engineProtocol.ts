import type { DeviceReport } from './devices'
import type { AppErrorData } from './errors'
import type { DirectionProjection, ProjectionMethod } from './analysis'
import type { Estimate } from './estimate'
import type { ExportPreview } from './exports'
import type {
  EvaluateSpec,
  ExpandSpec,
  ExportSpec,
  JobEvent,
  JobOutcome,
  JobSpec,
  PlaceSpec,
  PretrainSpec,
} from './jobs'
import type { GrowthPreview, ModelConfigText, ModelIdentity, ModelSummary } from './model'
import type { RunSettings } from './projects'
import type { RecipeOverview } from './recipes'
import type { TensorDetails, TensorTable } from './statistics'

/** What an estimate can be made of. */
export type EstimatedSpec = ExpandSpec | EvaluateSpec | PretrainSpec | PlaceSpec

export interface EstimateRequest {
  readonly spec: EstimatedSpec
  /** Keeps what was measured of this machine's speed. */
  readonly calibrationFile?: string
  /** Of the person; what is free counts when it is less. */
  readonly memoryLimitBytes?: number
  /** Time no disk that has not been timed before: an ordinary one is assumed. */
  readonly isQuick?: boolean
  /** The job keeps its finished stages for later ones. */
  readonly keepsStages?: boolean
  /** The job leaves a record, which takes another pass over what it wrote. */
  readonly isRecorded?: boolean
}

export interface ProjectionRequest {
  /** The run's record folder. */
  readonly folder: string
  readonly type: string
  readonly method: ProjectionMethod
  readonly seed: number
  readonly perplexity?: number
  /** The record's predictions are not what the new layers became: only the base layers are shown. */
  readonly isBaseOnly?: boolean
}

/** Exit code of an engine whose code the system did not let be loaded; its standard error says why. */
export const NOT_LOADED = 69

/** What computed a run. */
export interface EngineVersions {
  readonly engine: string
  readonly onnxruntime: string
  readonly node: string
}

/** What main asks the engine for outside of jobs: short, and safe to ask again. */
export interface EngineCalls {
  inspect: (path: string) => Promise<ModelSummary>
  devices: () => Promise<readonly DeviceReport[]>
  versions: () => Promise<EngineVersions>
  identify: (path: string) => Promise<ModelIdentity>
  /** Changes whenever the checkpoint's files do: the key of what is computed from it. */
  fingerprint: (path: string) => Promise<string>
  config: (path: string) => Promise<ModelConfigText>
  tensors: (path: string) => Promise<TensorTable>
  tensor: (path: string, name: string) => Promise<TensorDetails>
  growth: (path: string, settings: RunSettings) => Promise<GrowthPreview>
  estimate: (request: EstimateRequest) => Promise<Estimate>
  projection: (request: ProjectionRequest) => Promise<DirectionProjection>
  /** Of a checkpoint that was exported; `null` where it has no recipes. */
  recipes: (folder: string) => Promise<RecipeOverview | null>
  exportPreview: (spec: ExportSpec) => Promise<Omit<ExportPreview, 'publishable'>>
}

export type EngineCallName = keyof EngineCalls
export type EngineCallArguments<C extends EngineCallName> = Parameters<EngineCalls[C]>
export type EngineCallResult<C extends EngineCallName> = Awaited<ReturnType<EngineCalls[C]>>

/** One call with the arguments that belong to its name. */
type CallRequest<C extends EngineCallName = EngineCallName> = {
  [N in C]: {
    readonly type: 'call'
    readonly id: number
    readonly name: N
    readonly args: EngineCallArguments<N>
  }
}[C]

/** Main → engine. */
export type EngineRequest =
  | CallRequest
  | {
      readonly type: 'job:start'
      readonly jobId: string
      readonly spec: JobSpec
      /** Where the job may keep what a later run can use again. */
      readonly workDir?: string
      /** Where the job leaves its record: pictures' data, trained predictors. */
      readonly recordDir?: string
    }
  | { readonly type: 'job:cancel'; readonly jobId: string }
  /** To a job whose kind keeps what it has when it is asked to: it ends as cancelled once it has. */
  | { readonly type: 'job:pause'; readonly jobId: string }

/** Engine → main. */
export type EngineAnswer =
  /** The engine listens; nothing is sent to it before. */
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly type: 'answer'
      readonly id: number
      readonly ok: false
      readonly error: AppErrorData
    }
  | { readonly type: 'job:event'; readonly jobId: string; readonly event: JobEvent }
  | { readonly type: 'job:end'; readonly jobId: string; readonly outcome: JobOutcome }
