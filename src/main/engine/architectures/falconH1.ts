import type { Module, ModulesOf } from './Architecture'
import type { Fields, ModelConfig, OwnSizes } from './config'
import { LLAMA_FORWARD, linear, llamaModules, llamaShaped, llamaSlots } from './llamaShape'

const WRITER = 'mamba.out_proj'

/** The state-space part's numbers, by the config's keys; `inner`, its width. */
function ownSizes(fields: Fields, { hiddenSize }: OwnSizes): ModelConfig['own'] {
  const flag = (key: string, absent: boolean): number => Number(fields.flag(key, absent))
  const expanded = fields.natural('mamba_expand', { absent: 2 }) * hiddenSize
  return {
    inner: fields.natural('mamba_d_ssm', { absent: 1024, whenNull: expanded }),
    mamba_n_heads: fields.natural('mamba_n_heads', { absent: 128 }),
    mamba_n_groups: fields.natural('mamba_n_groups', { absent: 1 }),
    mamba_d_state: fields.natural('mamba_d_state', { absent: 256 }),
    mamba_d_conv: fields.natural('mamba_d_conv', { absent: 4 }),
    mamba_conv_bias: flag('mamba_conv_bias', true),
    mamba_proj_bias: flag('mamba_proj_bias', false),
    mamba_rms_norm: flag('mamba_rms_norm', false),
    projectors_bias: flag('projectors_bias', false),
  }
}

interface StateSizes {
  readonly inner: number
  readonly heads: number
  /** What the convolution goes over: the input, and B and C of every group. */
  readonly channels: number
  readonly kernel: number
}

function stateSizes({ own }: Pick<ModelConfig, 'own'>): StateSizes {
  const of = (key: string): number => own[key] ?? 0
  const inner = of('inner')
  return {
    inner,
    heads: of('mamba_n_heads'),
    channels: inner + 2 * of('mamba_n_groups') * of('mamba_d_state'),
    kernel: of('mamba_d_conv'),
  }
}

function stateSpace(config: ModelConfig): Module[] {
  const { inner, heads, channels, kernel } = stateSizes(config)
  const { own } = config
  const tensor = (name: string, ...shape: readonly number[]): Module => ({
    name: `mamba.${name}`,
    shape,
  })
  const bias = (key: string): 'always' | null => (own[key] === 1 ? 'always' : null)
  return [
    tensor('dt_bias', heads),
    tensor('A_log', heads),
    tensor('D', heads),
    tensor('conv1d.weight', channels, 1, kernel),
    ...(own['mamba_conv_bias'] === 1 ? [tensor('conv1d.bias', channels)] : []),
    linear('mamba.in_proj', ['mamba.in_proj'], bias('mamba_proj_bias')),
    ...(own['mamba_rms_norm'] === 1 ? [tensor('norm.weight', inner)] : []),
    linear(WRITER, [WRITER], bias('projectors_bias')),
  ]
}

const ATTENTION = llamaModules({
  qkvBias: 'attentionBias',
  outputBias: 'attentionBias',
  mlpBias: 'mlpBias',
  norms: ['input_layernorm', 'pre_ff_layernorm'],
}).map((module) => ({ ...module, name: module.name.replace(/^mlp\./, 'feed_forward.') }))

const MODULES: ModulesOf = (config) => [...stateSpace(config), ...ATTENTION]

/** Falcon-H1: attention and a state-space mixer side by side in every layer. */
export const falconH1 = llamaShaped({
  modelType: 'falcon_h1',
  architectureName: 'FalconH1ForCausalLM',
  names: {
    layerPrefix: 'model.layers.',
    embedTokens: 'model.embed_tokens.weight',
    finalNorm: 'model.final_layernorm.weight',
    lmHead: 'lm_head.weight',
  },
  modules: MODULES,
  moduleOrder: [
    { name: 'feed_forward.' },
    { name: 'mamba.' },
    ...ATTENTION.filter(({ name }) => !name.startsWith('feed_forward.')),
  ],
  slots: {
    ...llamaSlots(),
    'mamba.in_proj': (config) => {
      const { inner, heads, channels } = stateSizes(config)
      return [inner + channels + heads, config.hiddenSize]
    },
    [WRITER]: (config) => [config.hiddenSize, stateSizes(config).inner],
  },
  residualWriters: ['o_proj', 'down_proj', WRITER],
  config: { defaultKeyValueHeads: 8, defaultRmsNormEps: 1e-5, own: ownSizes },
  forward: {
    ...LLAMA_FORWARD,
    beforeMlp: 'pre_ff_layernorm',
    missing: 'a state-space mixer (Mamba 2) beside attention',
  },
})
