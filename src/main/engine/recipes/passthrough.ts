/** @file Reading a mergekit recipe that only stacks layers of one model (`merge_method: passthrough`). */
import yaml from 'js-yaml'
import { DAMP } from '@shared/damping'
import { AppError } from '@shared/errors'
import type { OutputDtype } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { shownValue } from '@shared/text'

/** A layer of the merged model. */
interface MergedLayer {
  readonly source: number
  /** Factor of its output matrices (`o_proj`, `down_proj`). */
  readonly scale: number
}

export interface Passthrough {
  /** As the recipe names it: a path or an id. */
  readonly model: string
  readonly dtype: OutputDtype
  readonly layers: readonly MergedLayer[]
  /** Of the list of slices, from 1. */
  readonly line: number
}

/** The same growth as a method of this program. */
export interface PassthroughGrowth {
  readonly method: MethodSpec
  /** Factor of the copies' output matrices, where it is not the method's own. */
  readonly damp?: number
}

const DTYPES: Readonly<Record<string, OutputDtype>> = {
  bfloat16: 'bf16',
  float16: 'f16',
  float32: 'f32',
}

/** More layers than any model has. */
const MAX_LAYERS = 10_000

type Fields = Readonly<Record<string, unknown>>

/**
 * @param file Names it in errors.
 * @throws AppError `bad_request` with field and line for what is no such recipe: another merge method, several models, or
 *   anything else that would change weights.
 */
export function readPassthrough(text: string, file: string): Passthrough {
  return new Reader(file).read(text)
}

class Reader {
  /** Where the mappings and lists begin, from 1. */
  private readonly lines = new WeakMap<object, number>()

  constructor(private readonly file: string) {}

  read(text: string): Passthrough {
    const top = this.fields(this.parse(text), 'the recipe', null)
    this.only(top, ['merge_method', 'slices', 'dtype'], '')
    if (top.merge_method !== 'passthrough') {
      throw this.refuse('merge_method', 'passthrough', top.merge_method, top)
    }
    const dtype =
      top.dtype === undefined
        ? 'keep'
        : typeof top.dtype === 'string'
          ? DTYPES[top.dtype]
          : undefined
    if (dtype === undefined) {
      throw this.refuse('dtype', Object.keys(DTYPES).join(', '), top.dtype, top)
    }
    const slices = this.list(top.slices, 'slices', top)
    const read = slices.map((slice, index) => this.slice(slice, `slices.${index}`, slices))
    const models = [...new Set(read.map(({ model }) => model))]
    if (models.length > 1) {
      throw this.refuse('slices', 'layers of one model', models.join(', '), slices)
    }
    const layers = read.flatMap((slice) => slice.layers)
    if (layers.length > MAX_LAYERS) {
      throw this.refuse('slices', `at most ${MAX_LAYERS} layers`, layers.length, slices)
    }
    return { model: models[0] ?? '', dtype, layers, line: this.lines.get(slices) ?? 1 }
  }

  private parse(text: string): unknown {
    const open: number[] = []
    try {
      return yaml.load(text, {
        listener: (event, { line, result }) => {
          if (event === 'open') open.push(line)
          else {
            const start = open.pop() ?? 0
            if (typeof result === 'object' && result !== null) this.lines.set(result, start + 1)
          }
        },
      })
    } catch (thrown) {
      if (!(thrown instanceof yaml.YAMLException)) throw thrown
      const line = thrown.mark === undefined ? undefined : thrown.mark.line + 1
      const place = placeOf(this.file, line)
      throw new AppError('bad_request', `${place} is no YAML: ${thrown.reason}.`, {
        context: { file: place },
      })
    }
  }

  private slice(
    value: unknown,
    at: string,
    within: object,
  ): { readonly model: string; readonly layers: readonly MergedLayer[] } {
    const slice = this.fields(value, at, within)
    this.only(slice, ['sources'], `${at}.`)
    const sources = this.list(slice.sources, `${at}.sources`, slice)
    if (sources.length !== 1) {
      throw this.refuse(`${at}.sources`, 'one source', `${sources.length}`, sources)
    }
    const place = `${at}.sources.0`
    const source = this.fields(sources[0], place, sources)
    this.only(source, ['model', 'layer_range', 'parameters'], `${place}.`)
    if (typeof source.model !== 'string' || source.model === '') {
      throw this.refuse(`${place}.model`, 'a path or an id', source.model, source)
    }
    const range = source.layer_range
    const [from, to] = Array.isArray(range) && range.length === 2 ? (range as unknown[]) : []
    const isRange =
      Number.isInteger(from) &&
      Number.isInteger(to) &&
      Number(from) >= 0 &&
      Number(to) > Number(from)
    if (!isRange || Number(to) > MAX_LAYERS) {
      throw this.refuse(
        `${place}.layer_range`,
        'the first layer and the one after the last, such as [0, 8]',
        range,
        source,
      )
    }
    const scale = this.scale(source.parameters, `${place}.parameters`, source)
    const layers = Array.from({ length: Number(to) - Number(from) }, (_, index) => ({
      source: Number(from) + index,
      scale,
    }))
    return { model: source.model, layers }
  }

  /** The factor of both output matrices; all else has to stay as it is. */
  private scale(value: unknown, at: string, within: object): number {
    if (value === undefined) return 1
    const parameters = this.fields(value, at, within)
    this.only(parameters, ['scale'], `${at}.`)
    const field = `${at}.scale`
    const settings = this.list(parameters.scale, field, parameters)
    // The first setting whose filter is in a tensor's name counts, as in mergekit.
    const of = (name: string): number => {
      for (const [index, each] of settings.entries()) {
        const setting = this.fields(each, `${field}.${index}`, settings)
        this.only(setting, ['filter', 'value'], `${field}.${index}.`)
        const { filter = '*', value: factor } = setting
        if (!['*', 'o_proj', 'down_proj'].includes(String(filter))) {
          throw this.refuse(`${field}.${index}.filter`, 'o_proj or down_proj', filter, setting)
        }
        if (typeof factor !== 'number' || factor < DAMP.min || factor > DAMP.max) {
          throw this.refuse(
            `${field}.${index}.value`,
            `a number from ${DAMP.min} to ${DAMP.max}`,
            factor,
            setting,
          )
        }
        if (filter === '*' || filter === name) return factor
      }
      return 1
    }
    const [attention, mlp, others] = [of('o_proj'), of('down_proj'), of('')]
    if (attention !== mlp || others !== 1) {
      throw this.refuse(
        field,
        'one factor for o_proj and down_proj, and 1 for all else',
        `${attention}, ${mlp} and ${others}`,
        parameters,
      )
    }
    return attention
  }

  private fields(value: unknown, field: string, within: object | null): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
    throw this.refuse(field, 'fields', value, within)
  }

  private list(value: unknown, field: string, within: object): readonly unknown[] {
    if (Array.isArray(value) && value.length > 0) return value
    throw this.refuse(field, 'a list', value, within)
  }

  /** Whatever else stands there could change weights. */
  private only(fields: Fields, known: readonly string[], at: string): void {
    const other = Object.keys(fields).find((name) => !known.includes(name))
    if (other !== undefined) {
      throw this.refuse(`${at}${other}`, `only ${known.join(', ')}`, `${other}`, fields)
    }
  }

  private refuse(field: string, expected: string, actual: unknown, near: object | null): AppError {
    const found = typeof actual === 'string' ? actual : shownValue(actual)
    const place = placeOf(this.file, near === null ? undefined : this.lines.get(near))
    return new AppError(
      'bad_request',
      `${place}: ${field}: expected ${expected}, found ${found}.`,
      {
        hint: 'What is read is a passthrough merge of one model’s own layers.',
        context: { file: place, field, expected, actual: found },
      },
    )
  }
}

/** `merge.yaml, line 3`. */
const placeOf = (file: string, line: number | undefined): string =>
  line === undefined ? file : `${file}, line ${line}`

/**
 * The method whose plan has the recipe's layers.
 *
 * @param layerCount Of the base model.
 * @throws AppError `bad_request` when layers lie outside of the model, or no method lays them out so.
 */
export function growthOf(
  { layers, line }: Passthrough,
  layerCount: number,
  file: string,
): PassthroughGrowth {
  const refuse = (expected: string, actual: string, hint: string): AppError =>
    new AppError(
      'bad_request',
      `${placeOf(file, line)}: slices: expected ${expected}, found ${actual}.`,
      { hint, context: { file: placeOf(file, line), field: 'slices', expected, actual } },
    )
  const outside = layers.find(({ source }) => source >= layerCount)
  if (outside !== undefined) {
    throw refuse(
      `layers within 0-${layerCount - 1}`,
      `${outside.source}`,
      'Is it the recipe of this model?',
    )
  }
  const found = candidates(layers, layerCount).find((growth) => laysOut(growth, layers, layerCount))
  if (found === undefined) {
    throw refuse(
      'every layer in its order, and copies as LLaMA Pro, interpolation, SOLAR or stack place them, all with one factor',
      layers.map(({ source, scale }) => (scale === 1 ? source : `${source}×${scale}`)).join(' '),
      'Other orders are for mergekit: grow the model there, and open the result.',
    )
  }
  return found
}

/** What the recipe may be, by its copies and the place where the order of layers first breaks. */
function candidates(layers: readonly MergedLayer[], layerCount: number): PassthroughGrowth[] {
  const copies = layers.filter(({ source }, index) =>
    layers.slice(0, index).some((before) => before.source === source),
  )
  const gaps = copies.map(({ source }) => source)
  const scale = copies[0]?.scale
  if (scale === undefined) return []
  const damp = scale === 1 ? {} : { damp: scale }
  const last = layers.findIndex(({ source }, index) => layers[index + 1]?.source !== source + 1)
  const first = layers[last + 1]?.source ?? 0
  const overlap = layerCount - 1 - (layers[last]?.source ?? 0)
  return [
    ...(scale === 0 ? [{ method: { name: 'llama-pro', gaps } } as const] : []),
    { method: { name: 'interpolation', gaps }, ...damp },
    { method: { name: 'solar', overlap }, ...damp },
    { method: { name: 'stack', repeat: [first, layers[last]?.source ?? 0] }, ...damp },
  ]
}

function laysOut(
  { method, damp = 1 }: PassthroughGrowth,
  layers: readonly MergedLayer[],
  layerCount: number,
): boolean {
  let planned
  try {
    planned = planExpansion(method, layerCount).layers
  } catch (thrown) {
    // The model has not the layers that the method would take.
    if (thrown instanceof AppError) return false
    throw thrown
  }
  return (
    planned.length === layers.length &&
    planned.every(({ kind, source }, index) => {
      const scale = kind === 'identity' ? 0 : kind === 'copy' ? damp : 1
      return layers[index]?.source === source && layers[index].scale === scale
    })
  )
}
