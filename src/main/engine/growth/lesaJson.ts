/** @file The grown folder's `lesa.json`: what it says of itself to programs. */
import { basename } from 'node:path'
import type { DampingReport } from '@shared/damping'
import type { ExpertReport, RoutingReport } from '@shared/experts'
import type { DeviceDecision } from '@shared/devices'
import type { CardEdits } from '@shared/exports'
import type { FitReport } from '@shared/fit'
import { modelNameOf } from '@shared/hub'
import type { ExpandSpec, PredictorReport, PublishedPerplexity } from '@shared/jobs'
import { PROJECT } from '../lib/version'
import type { BaseFacts } from './baseFacts'
import type { PipelineTag } from './frontMatter'
import { methodSpecSchema } from '@shared/methods/schema'
import type { ExpansionPlan } from '@shared/plan'
import type { TrainingRecord } from '@shared/pretraining'

/** Version of `lesa.json`'s layout. */
export const SCHEMA_VERSION = 1

/** What is known of a grown model when it is written. */
export interface GrowthRecord {
  readonly spec: Omit<ExpandSpec, 'kind' | 'out' | 'overwrite' | 'job'>
  readonly plan: ExpansionPlan
  readonly architecture: string
  readonly pipeline: PipelineTag
  readonly layersBefore: number
  readonly parameters: number
  readonly dtypes: readonly string[]
  readonly engineVersion: string
  /** `null` when nothing was computed, only copied. */
  readonly device: DeviceDecision | null
  readonly predictors: readonly PredictorReport[]
  /** Of a start that was fitted to a text. */
  readonly fit?: FitReport | undefined
  /** How the damping was chosen, where it was. */
  readonly damping?: DampingReport | undefined
  /** Whether experts correspond, where new ones are made from those of several layers. */
  readonly experts?: ExpertReport | undefined
  /** How new routers were scaled, where a text was given. */
  readonly routing?: RoutingReport | undefined
  readonly perplexities: readonly PublishedPerplexity[]
  readonly base: BaseFacts
  /** What a person wrote into the card. */
  readonly card?: CardEdits | undefined
  readonly warnings: readonly string[]
  /** What was done with the new layers since, from the first training on. */
  readonly trainings?: readonly TrainingRecord[]
}

/**
 * The file's text. `new_layers` are the indices that the base model does not have (to be trained), `layer_map[i]` the
 * base layer that layer i of the grown model is, or `null` for a new one (`layers` then says where it comes from).
 */
export function lesaJson(record: GrowthRecord): string {
  return `${JSON.stringify(dataOf(record), null, 2)}\n`
}

function dataOf(record: GrowthRecord): object {
  const { spec, plan } = record
  // Through the schema, so that the keys come in one order whoever made the spec.
  const { name, ...parameters } = methodSpecSchema.parse(spec.method)
  return {
    schema_version: SCHEMA_VERSION,
    generator: { name: PROJECT, version: record.engineVersion },
    base_model: record.base.name,
    ...(record.base.revision === null ? {} : { base_model_revision: record.base.revision }),
    architecture: record.architecture,
    method: name,
    num_hidden_layers: { before: record.layersBefore, after: plan.layers.length },
    parameters: record.parameters,
    new_layers: plan.newLayers,
    layer_map: plan.layers.map((layer) => (layer.kind === 'original' ? layer.source : null)),
    layers: plan.layers.map((layer, index) => ({ index, ...origin(plan, layer) })),
    settings: {
      ...plan.resolved,
      ...parameters,
      ...(spec.also === undefined ? {} : { also: spec.also.map(modelNameOf) }),
      rest: spec.rest,
      dtype: spec.dtype,
      ...(spec.align === true ? { align: true } : {}),
      ...(spec.damp === undefined ? {} : { damp: record.damping?.factor ?? spec.damp }),
      ...(spec.allowOverflow === true ? { allow_overflow: true } : {}),
      max_shard_bytes: spec.maxShardBytes,
    },
    seed: spec.seed,
    device: record.device?.device ?? null,
    predictors: record.predictors,
    ...(record.fit === undefined ? {} : { fit: record.fit }),
    ...(record.damping === undefined ? {} : { damping: record.damping }),
    ...(record.experts === undefined ? {} : { experts: record.experts }),
    ...(record.routing === undefined ? {} : { routing: record.routing }),
    perplexities: record.perplexities.map(({ model, ...rest }) => ({
      model: basename(model),
      ...rest,
    })),
    warnings: record.warnings,
    ...(record.trainings === undefined || record.trainings.length === 0
      ? {}
      : { training: record.trainings }),
  }
}

function origin(plan: ExpansionPlan, layer: ExpansionPlan['layers'][number]): object {
  if (layer.kind !== 'computed') return { kind: layer.kind, source: layer.source }
  return { kind: plan.method, gap: layer.gap, between: [layer.left, layer.right] }
}
