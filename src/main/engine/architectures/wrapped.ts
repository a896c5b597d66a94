/** @file Families whose decoder is part of a model that sees or hears as well. */
import {
  defineArchitecture,
  type Architecture,
  type Family,
  type TensorNames,
  type Wrapping,
} from './Architecture'
import { Fields, type ConfigRules, type RawConfig } from './config'

/** Where the decoder's config lies in all of them. */
const PATH = 'text_config'

/** What the file of such a family says. */
export interface Wrapper {
  /** `model_type` of the config. */
  readonly modelType: string
  /** `architectures[0]` of the config. */
  readonly architectureName: string
  /** What it wraps: a family, or one by `text_config.model_type`, and which where that is absent. */
  readonly decoder: Family | { readonly absent: string }
  /** How files name the decoder's tensors; the reference's modules first. */
  readonly layouts: Wrapping['layouts']
  readonly tie: NonNullable<ConfigRules['outerTie']>
  /** Whether older configs have the decoder's keys at the top. */
  readonly mayBeFlat?: boolean
  readonly deepFeatures?: Wrapping['deepFeatures']
}

/** The decoder's names by what they begin with. */
function under(prefix: string, lmHead = 'lm_head.weight'): TensorNames {
  return {
    layerPrefix: `${prefix}layers.`,
    embedTokens: `${prefix}embed_tokens.weight`,
    finalNorm: `${prefix}norm.weight`,
    lmHead,
  }
}

/** The modules' names, and those of a model saved without its head. */
export const CURRENT = [under('model.language_model.'), under('language_model.')]

/** Those and what LLaVA and what came of it were published with: the text model whole, with its head, within the other. */
export const LLAVA_LAYOUTS = [
  ...CURRENT,
  under('language_model.model.', 'language_model.lm_head.weight'),
]

/** Those and what Qwen's were published with: the decoder where a text model has it. */
export const QWEN_LAYOUTS = [...CURRENT, under('model.')]

/** Idefics 3 and what came of it. */
export const IDEFICS_LAYOUTS = [under('model.text_model.'), under('text_model.')]

/**
 * The decoder of a wrapper by its config, as a family of its own.
 *
 * @param families Among which `text_config.model_type` is looked up.
 * @returns `null` where it names none of them.
 * @throws AppError `bad_checkpoint` when there is no `text_config`.
 */
export function unwrap(
  wrapper: Wrapper,
  rawConfig: RawConfig,
  { families, file }: { readonly families: readonly Architecture[]; readonly file: string },
): Architecture | null {
  const { decoder, layouts, tie, mayBeFlat = false, deepFeatures = null } = wrapper
  const path = mayBeFlat && (rawConfig[PATH] ?? null) === null ? null : PATH
  const top = new Fields(rawConfig, file)
  const inner = path === null ? top : top.section(path)
  const family =
    'absent' in decoder
      ? families.find(({ modelType }) => modelType === inner.text('model_type', decoder.absent))
      : decoder
  const [names] = layouts
  if (!family || !names) return null
  const { scales } = family.config
  return defineArchitecture(
    {
      ...family,
      modelType: wrapper.modelType,
      architectureName: wrapper.architectureName,
      names,
      config: {
        ...family.config,
        path,
        outerTie: tie,
        // The head is the wrapper's: what a text model does with its logits is not done.
        scales: (fields, hiddenSize) => ({
          ...scales(fields, hiddenSize),
          logits: 1,
          logitCap: null,
        }),
      },
    },
    { layouts, deepFeatures },
  )
}
