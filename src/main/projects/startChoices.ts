/** @file Which starts a race can compare: every method at one depth, from the runs that there are. */
import { AppError, toAppError } from '@shared/errors'
import { isOpen } from '@shared/jobs'
import {
  isLayoutKey,
  METHOD_NAMES,
  METHODS,
  methodNamed,
  type Method,
  type MethodSpec,
} from '@shared/methods'
import type { CountOption, LayoutOption, LayoutValue, Option } from '@shared/methods/options'
import { isLayoutOption } from '@shared/methods/options'
import type { ModelSummary } from '@shared/model'
import { filledGaps, patternOf, planExpansion } from '@shared/plan'
import {
  runSettingsOf,
  startFieldsOf,
  wasTrained,
  type ProjectDraft,
  type RunSettings,
  type RunSummary,
} from '@shared/projects'
import { COMPARED_STARTS, type StartChoice } from '@shared/trainings'

export interface StartsInput {
  /** The depth, the gaps, and what the methods share are taken from it. */
  readonly like: RunSettings
  /** Of the base model. */
  readonly layers: number
  /** What type each of them is of; nothing where all are alike. */
  readonly types?: readonly string[] | undefined
  /** Why some methods cannot grow the model. */
  readonly refused?: ModelSummary['refused_methods']
  /** What a method needs that `like` does not have. */
  readonly draft: ProjectDraft
  /** Newest first. */
  readonly runs: readonly RunSummary[]
}

/**
 * Every method at the depth of `like`, in the order in which they are offered.
 *
 * @throws AppError `bad_request` when `like` does not fit the model.
 */
export function startChoices(input: StartsInput): StartChoice[] {
  return METHODS.map((method) => ({
    method,
    isCompared: COMPARED_STARTS.includes(method),
    ...choiceOf(method, input),
  }))
}

type Choice =
  | { readonly state: 'grown' | 'growing'; readonly run: string }
  | { readonly state: 'missing'; readonly settings: RunSettings }
  | { readonly state: 'impossible'; readonly reason: string }

function choiceOf(
  method: Method,
  { like, layers, types, refused, draft, runs }: StartsInput,
): Choice {
  const refusal = refused?.[method]
  if (refusal) {
    return { state: 'impossible', reason: `${METHOD_NAMES[method]}: ${refusal.message}` }
  }
  const goal = goalOf(like.method, layers, types)
  const { added } = goal
  const { also, calibration, damp, align, ...others } = like
  const settings: RunSettings = {
    ...others,
    ...startFieldsOf(method, {
      also,
      calibration: calibration ?? draft.calibration ?? undefined,
      damp,
      align,
    }),
    method: specLike(like.method, method, draft),
  }
  try {
    settings.method =
      method === like.method.name
        ? like.method
        : withLayout(settings.method, layoutOf(method, goal))
    const { newLayers } = planExpansion(settings.method, layers, types)
    if (newLayers.length !== added) {
      const most = `it adds at most ${newLayers.length} layers to ${layers}, not ${added}.`
      throw new AppError('bad_request', most)
    }
    const same = runs.filter(
      (run) =>
        run.method === method &&
        !wasTrained(run) &&
        run.isOfThisModel &&
        (run.model !== null || isOpen(run.state)) &&
        run.newLayers.join() === newLayers.join() &&
        // What was fitted to another text is another start.
        (settings.calibration === undefined || isSame(run.settings, settings)),
    )
    const isGrown = ({ model }: RunSummary): boolean => model !== null
    const best = same.find((run) => isGrown(run) && isSame(run.settings, settings))
    const run = best ?? same.find(isGrown) ?? same[0]
    if (!run) return { state: 'missing', settings }
    return { state: isGrown(run) ? 'grown' : 'growing', run: run.id }
  } catch (error) {
    const { code, message } = toAppError(error)
    if (code !== 'bad_request') throw error
    return { state: 'impossible', reason: `${METHOD_NAMES[method]}: ${message}` }
  }
}

/** A method with the values that the other one has of its options, and else the draft's; its layout is not decided yet. */
function specLike(like: MethodSpec, method: Method, draft: ProjectDraft): MethodSpec {
  const own = runSettingsOf({ ...draft, method }).method
  const shared = Object.entries(like).filter(
    ([key]) => key !== 'name' && Object.hasOwn(methodNamed(method).options, key),
  )
  return { ...own, ...Object.fromEntries(shared) }
}

function withLayout(
  spec: MethodSpec,
  layout: Readonly<Record<string, LayoutValue | true>>,
): MethodSpec {
  const others = Object.entries(spec).filter(([key]) => !isLayoutKey(key))
  return { ...Object.fromEntries(others), ...layout } as MethodSpec
}

interface Goal {
  readonly added: number
  readonly layers: number
  /** One for each new layer. */
  readonly gaps: LayoutValue
  /** One for each period of new layers, where the pattern of types is kept; `null` elsewhere. */
  readonly periodGaps: LayoutValue | null
}

/** @throws AppError `bad_request` when the method does not fit the model. */
function goalOf(method: MethodSpec, layers: number, types: readonly string[] = []): Goal {
  const plan = planExpansion(method, layers, types)
  const added = plan.newLayers.length
  const isKept = 'keepPattern' in method && method.keepPattern === true
  if (!isKept) {
    const gaps = plan.resolved['gaps'] ?? spreadGaps(added, layers)
    return { added, layers, gaps, periodGaps: null }
  }
  const gaps = filledGaps(plan, { period: 1 })
  return { added, layers, gaps, periodGaps: filledGaps(plan, patternOf(isKept, types)) }
}

/** @throws AppError `bad_request` where no value gives that depth. */
function layoutOf(method: Method, goal: Goal): Record<string, LayoutValue | true> {
  const { options } = methodNamed(method)
  const { added, layers, periodGaps } = goal
  const gaps = 'keepPattern' in options ? (periodGaps ?? goal.gaps) : goal.gaps
  return Object.fromEntries(
    Object.entries(options).flatMap(([key, option]): [string, LayoutValue | true][] => {
      if (option.kind === 'pattern') return periodGaps ? [[key, true]] : []
      if (!isLayoutOption(option) || isSaidByGaps(method, option)) return []
      switch (option.kind) {
        case 'gaps':
          return [[key, gaps]]
        case 'count':
          return [[key, countFor(method, key, option, { added, layers })]]
        case 'range':
          // The last ones; there cannot be more than there are.
          return [[key, [Math.max(0, layers - added), layers - 1]]]
      }
    }),
  )
}

/** Whether the method takes gaps instead. */
function isSaidByGaps(method: Method, { kind, excludes }: LayoutOption): boolean {
  const other: Option | undefined =
    excludes === undefined ? undefined : methodNamed(method).options[excludes]
  return kind !== 'gaps' && other?.kind === 'gaps'
}

function countFor(
  method: Method,
  key: string,
  { min, max }: CountOption,
  { added, layers }: Pick<Goal, 'added' | 'layers'>,
): number {
  const values = Array.from({ length: max(layers) - min + 1 }, (_, index) => min + index)
  const additions = values.map((value) => {
    const { layers: laidOut } = methodNamed(method).plan({ [key]: value }, layers)
    return { value, added: laidOut.length - layers }
  })
  const found = additions.find((each) => each.added === added)
  if (found) return found.value
  const possible = additions.map((each) => each.added).filter((each) => each > 0)
  const below = possible.filter((each) => each < added)
  const above = possible.filter((each) => each > added)
  const nearest = [
    ...(below.length > 0 ? [Math.max(...below)] : []),
    ...(above.length > 0 ? [Math.min(...above)] : []),
  ]
  throw new AppError(
    'bad_request',
    nearest.length === 0
      ? `it cannot add ${added} layers to ${layers}.`
      : `it can add ${nearest.join(' or ')} layers to ${layers}, not ${added}.`,
  )
}

/** As many new layers as asked for, at most one more in a gap than in any other, the later gaps first. */
function spreadGaps(added: number, layers: number): number[] {
  const gaps = Math.max(1, layers - 1)
  return Array.from({ length: gaps }, (_, gap) => gap).flatMap((gap) => {
    const isLater = gap >= gaps - (added % gaps)
    return Array.from<number>({ length: Math.floor(added / gaps) + (isLater ? 1 : 0) }).fill(gap)
  })
}

function isSame(a: RunSettings, b: RunSettings): boolean {
  const sorted = (settings: RunSettings): string =>
    JSON.stringify([
      Object.entries(settings.method).sort(([left], [right]) => (left < right ? -1 : 1)),
      settings.calibration,
      settings.damp,
      settings.align,
      settings.also,
      settings.rest,
      settings.dtype,
      settings.seed,
    ])
  return sorted(a) === sorted(b)
}
