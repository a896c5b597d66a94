/**
 * @file The growth methods. To add one, write its file beside this and name it in {@link REGISTRY}; specs, flags, forms,
 * cards and records follow. Nothing here loads a schema library: the command line's help needs all of it and is fast.
 */
import { isPredicted, type MethodDefinition } from './define'
import { fitted } from './fitted'
import { interpolation } from './interpolation'
import { lesa } from './lesa'
import { llamaPro } from './llama-pro'
import { neighbourMean } from './neighbour-mean'
import { noise } from './noise'
import {
  isLayoutOption,
  type LayoutOption,
  type Option,
  type OptionalOption,
  type Options,
  type PatternOption,
  type ValueOf,
} from './options'
import { optDeus } from './opt-deus'
import { solar } from './solar'
import { stack } from './stack'

const REGISTRY = [
  lesa,
  fitted,
  llamaPro,
  optDeus,
  solar,
  interpolation,
  stack,
  neighbourMean,
  noise,
] as const

type Known = (typeof REGISTRY)[number]
export type Method = Known['name']

/** Where nothing else is said. */
export const DEFAULT_METHOD: Method = REGISTRY[0].name

/** In the order in which they are offered. */
export const METHODS: readonly Method[] = REGISTRY.map(({ name }) => name)

/** What people read for each method. */
export const METHOD_NAMES: Readonly<Record<Method, string>> = byMethod(({ title }) => title)

const DEFINITIONS = byMethod((method) => method)

export function methodNamed(name: Method): MethodDefinition<Method> {
  return DEFINITIONS[name]
}

function byMethod<T>(of: (method: MethodDefinition<Method>) => T): Record<Method, T> {
  return Object.fromEntries(REGISTRY.map((method) => [method.name, of(method)])) as Record<
    Method,
    T
  >
}

type SpecOf<M> =
  M extends MethodDefinition<infer Name, infer O>
    ? { readonly name: Name } & {
        readonly [Key in keyof O as O[Key] extends OptionalOption ? Key : never]?:
          ValueOf<O[Key]> | undefined
      } & {
        readonly [Key in keyof O as O[Key] extends OptionalOption ? never : Key]: ValueOf<O[Key]>
      }
    : never

/** A method with its parameters; what is left out takes the default for the model's depth (`plan.ts`). */
export type MethodSpec = SpecOf<Known>
/** Of the methods that train predictors. */
export type LearnedMethodSpec = Extract<MethodSpec, { readonly predictor: unknown }>

/** Whether a method trains predictors, and so has their settings, stages and reports. */
export function learns(name: Method): boolean {
  const { fill } = methodNamed(name)
  return fill !== undefined && isPredicted(fill)
}

export function isLearned(spec: MethodSpec): spec is LearnedMethodSpec {
  return learns(spec.name)
}

/** Whether a method's new layers are fitted to a text, which it then needs. */
export function fitsText(name: Method): boolean {
  return methodNamed(name).fitsText === true
}

/** Whether its new layers add something to the residual stream whose size is not chosen otherwise: a factor can damp it. */
export function canDamp(name: Method): boolean {
  return methodNamed(name).keepsOutput !== true && !fitsText(name)
}

/** Whether the left neighbours' rows are transported onto the right ones', as a stage of the job. */
export function transports(name: Method): boolean {
  return methodNamed(name).fill?.kind === 'transported'
}

/** Whether it computes what a job's folder can keep for a later run. */
export function hasStages(name: Method): boolean {
  return learns(name) || fitsText(name) || transports(name)
}

/** Whether its new layers are computed from several layers' neurons and heads, whose order matters then. */
export function canAlign(name: Method): boolean {
  return methodNamed(name).fill !== undefined && !transports(name)
}

type Merged<U> = (U extends unknown ? (options: U) => void : never) extends (
  options: infer All,
) => void
  ? All
  : never

/** The options of all methods; one that several have is the same in each. */
export type AllOptions = Merged<Known['options']>
export type OptionKey = keyof AllOptions

type LayoutKey = {
  [Key in OptionKey]: AllOptions[Key] extends LayoutOption | PatternOption ? Key : never
}[OptionKey]

/** Every method's options by key, each once: those that decide the layout before the others. */
export const ALL_OPTIONS: readonly (readonly [key: OptionKey, option: Option])[] = listOptions()

function listOptions(): (readonly [OptionKey, Option])[] {
  const all = new Map<string, Option>()
  for (const { options } of REGISTRY) {
    for (const [key, option] of Object.entries<Options[string]>(options)) {
      if (!all.has(key)) all.set(key, option)
    }
  }
  const entries = [...all] as [OptionKey, Option][]
  return [
    ...entries.filter(([, option]) => isLayoutOption(option)),
    ...entries.filter(([, option]) => !isLayoutOption(option)),
  ]
}

/** Whether an option bears on the layout. */
export function isLayoutKey(key: string): key is LayoutKey {
  return ALL_OPTIONS.some(
    ([known, option]) => known === key && (isLayoutOption(option) || option.kind === 'pattern'),
  )
}

/** Where a new layer's norm weights, biases and q/k norms come from: they are not computed. */
export const REST_CHOICES = ['mean', 'previous', 'next', 'first'] as const
export type RestChoice = (typeof REST_CHOICES)[number]
