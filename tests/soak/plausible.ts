/** @file Mutants that pass a first look: files that someone could have meant, of which most can be worked with. */
import type { Random } from './chance'
import type { Json } from './mutate'

type Fields = { [key: string]: Json }

/** A `config.json` in which some fields have other values that the field may have. */
export function plausibleConfig(text: string, random: Random): Buffer {
  const config = JSON.parse(text) as Fields
  const some = <T>(...values: readonly T[]): T => random.pick(values)
  const layers = Number(config['num_hidden_layers'])
  const changes: readonly (() => void)[] = [
    () => (config['rope_theta'] = some<Json>(1, 1e-3, 1e9, 10_000, 1e30, '10000', null)),
    () => (config['rms_norm_eps'] = some<Json>(0, 1e-30, 1e-5, 0.5, 1e5, null)),
    () => (config['max_position_embeddings'] = some<Json>(1, 7, 2 ** 31, 1e15, null)),
    () => (config['tie_word_embeddings'] = some<Json>(true, false, null)),
    () => (config['hidden_act'] = some<Json>('silu', 'gelu', 'relu', 'swish', null)),
    () => (config['attention_bias'] = some<Json>(true, false, null)),
    () => (config['mlp_bias'] = some<Json>(true, false, null)),
    () => (config['sliding_window'] = some<Json>(null, 1, 4, 1e9, 0)),
    () => (config['use_sliding_window'] = some<Json>(true, false)),
    () => (config['max_window_layers'] = some<Json>(0, 1, layers, layers + 9)),
    () =>
      (config['layer_types'] = Array.from({ length: layers + some(0, 0, 0, 1, -1) }, () =>
        some('full_attention', 'sliding_attention', 'full_attention', 'linear_attention'),
      )),
    () => (config['num_hidden_layers'] = some(1, 2, layers - 1, layers, layers + 1)),
    () => (config['num_attention_heads'] = some(1, 2, 4, 8, 3)),
    () => (config['num_key_value_heads'] = some<Json>(1, 2, 4, null)),
    () => (config['head_dim'] = some<Json>(4, 8, 16, null)),
    () => (config['vocab_size'] = some(63, 64, 65, 1)),
    () => (config['intermediate_size'] = some(48, 47, 96)),
    () => (config['torch_dtype'] = some<Json>('float16', 'float32', 'bfloat16', 'int8', null)),
    () => (config['dtype'] = some<Json>('float16', 'auto', null)),
    () => (config['bos_token_id'] = some<Json>([0, 1], -1, 1e9, null)),
    () => (config['eos_token_id'] = some<Json>([0, 1, 2], 63, null)),
    () => (config['rope_scaling'] = ropeScaling(random)),
    () => (config['rope_parameters'] = { ...(ropeScaling(random) ?? {}), rope_theta: 10_000 }),
    () =>
      (config['architectures'] = [
        ...some(['LlamaForCausalLM'], ['MistralForCausalLM'], ['Qwen2ForCausalLM'], ['X'], []),
      ]),
    () => (config['model_type'] = some('llama', 'mistral', 'qwen2', 'qwen3', 'phi3', 'mamba')),
    () => (config['quantization_config'] = some<Json>(null, {}, { quant_method: 'gptq' })),
    () => (config['auto_map'] = { AutoModel: some('x--y.Z', '../x.Y') }),
    () => (config[some('extra', 'é', ' ', 'constructor')] = some<Json>({ a: [1, { b: 2 }] }, 'x')),
    () => (config['transformers_version'] = some<Json>('4.0', '5.99.dev', 4)),
  ]
  for (let times = 1 + random.below(3); times > 0; times -= 1) random.pick(changes)()
  return Buffer.from(JSON.stringify(config, null, random.pick([0, 2])))
}

function ropeScaling(random: Random): Fields | null {
  const factor = random.pick<Json>([1, 2, 8, 0.5, 0, -1, 1e300, '2'])
  const factors = (): Json => Array<Json>(random.pick([4, 4, 4, 3])).fill(random.pick([1, 2, 0]))
  return random.pick<() => Fields | null>([
    () => null,
    () => ({ type: 'linear', factor }),
    () => ({ rope_type: 'dynamic', factor }),
    () => ({ rope_type: 'yarn', factor, original_max_position_embeddings: 32, beta_fast: 32 }),
    () => ({
      ...{ rope_type: 'llama3', factor, low_freq_factor: random.pick([1, 4]) },
      ...{ high_freq_factor: 4, original_max_position_embeddings: random.pick([32, 0]) },
    }),
    () => ({ rope_type: 'longrope', long_factor: factors(), short_factor: factors() }),
    () => ({ rope_type: 'default' }),
    () => ({ rope_type: 'unknown', factor }),
  ])()
}

interface Entry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

const BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, BF16: 2, F16: 2, I16: 2, U8: 1 }

/** A safetensors file with another order, other types of the same size, more tensors, gaps, or values that are no numbers. */
export function plausibleSafetensors(bytes: Buffer, random: Random): Buffer {
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as {
    [name: string]: Entry
  }
  let data = Buffer.from(bytes.subarray(8 + length))
  const names = Object.keys(header).filter((name) => name !== '__metadata__')
  const one = (): Entry => header[random.pick(names)]!
  let order = Object.keys(header)
  const changes: readonly (() => void)[] = [
    () => (order = random.shuffled(order)),
    () => {
      order = ['__metadata__', ...order.filter((name) => name !== '__metadata__')]
      const metadata: Fields = {
        format: random.pick(['pt', 'tf', '']),
        [`k${random.below(9)}`]: 'é',
      }
      header['__metadata__'] = metadata as never
    },
    () => {
      const entry = one()
      const count = entry.shape.reduce((product, size) => product * size, 1)
      const size = (entry.data_offsets[1] - entry.data_offsets[0]) / Math.max(1, count)
      entry.dtype = random.pick(Object.keys(BYTES).filter((name) => BYTES[name] === size))
    },
    () => void one().shape.reverse(),
    () => void one().shape.push(1),
    () => {
      const [a, b] = [one(), one()]
      const offsets = a.data_offsets
      a.data_offsets = b.data_offsets
      b.data_offsets = offsets
    },
    () => {
      const name = random.pick(['extra', 'model.layers.99.x', 'lm_head.bias', ' ', 'x'.repeat(300)])
      const end = data.byteLength
      data = Buffer.concat([data, Buffer.alloc(16, random.below(256))])
      header[name] = { dtype: 'F32', shape: [2, 2], data_offsets: [end, end + 16] }
      order.push(name)
    },
    () => {
      header['empty'] = { dtype: 'F32', shape: [0, 5], data_offsets: [0, 0] }
      order.push('empty')
    },
    () => {
      const [start, end] = one().data_offsets
      const values = random.pick([0x7fc0, 0x7f80, 0xff80, 0x7f7f, 0x0001, 0x8000])
      for (let at = start; at + 1 < end; at += 2) {
        if (random.happens(0.2)) data.writeUInt16LE(values, at)
      }
    },
    () => void data.fill(0, ...one().data_offsets),
    () => {
      // A hole.
      const [start] = one().data_offsets
      data = Buffer.concat([data.subarray(0, start), Buffer.alloc(8), data.subarray(start)])
      for (const name of names) {
        const offsets = header[name]!.data_offsets
        if (offsets[0] >= start) header[name]!.data_offsets = [offsets[0] + 8, offsets[1] + 8]
      }
    },
    () => {
      const name = random.pick(names)
      const other = `${name}${random.pick(['_', '.weight', '\u200b'])}`
      header[other] = header[name]!
      order = order.map((each) => (each === name ? other : each))
    },
  ]
  for (let times = 1 + random.below(2); times > 0; times -= 1) random.pick(changes)()
  const text = JSON.stringify(Object.fromEntries(order.map((name) => [name, header[name]!])))
  const padded = Buffer.from(text + ' '.repeat(random.pick([0, 1, 7, 64])))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(padded.byteLength))
  return Buffer.concat([prefix, padded, data])
}

/** A shard index that assigns differently. */
export function plausibleIndex(text: string, random: Random): Buffer {
  const index = JSON.parse(text) as { metadata?: Json; weight_map: { [name: string]: string } }
  const names = Object.keys(index.weight_map)
  const shards = [...new Set(Object.values(index.weight_map))]
  random.pick<() => void>([
    () => void delete index.metadata,
    () => (index.metadata = { total_size: random.pick<Json>([0, -1, 1e300, '9', null]) }),
    () => (index.weight_map[random.pick(names)] = random.pick(shards)),
    () => (index.weight_map[random.pick(names)] = random.pick(['x.safetensors', '../x', '', '.'])),
    () => (index.weight_map['extra'] = random.pick(shards)),
    () => void delete index.weight_map[random.pick(names)],
    () => {
      const entries = random.shuffled(Object.entries(index.weight_map))
      index.weight_map = Object.fromEntries(entries)
    },
  ])()
  return Buffer.from(JSON.stringify(index))
}

const REGEXES = [
  '\\s+',
  '\\p{L}+|\\p{N}{1,3}|[^\\s\\p{L}\\p{N}]+',
  '(?i:[sdmt]|ll|ve|re)|\\s+(?!\\S)',
  '(a+)+$',
  '(?<=a)b',
  '(x*)*y',
  '',
  '.',
  '[',
  '(?<n>.)\\k<n>',
  '\\X',
]

/** A component of a tokenizer, of a kind that the library knows, with fields that it may have. */
function component(
  role: 'normalizer' | 'pre' | 'decoder' | 'post',
  random: Random,
  depth = 0,
): Json {
  const some = <T>(...values: readonly T[]): T => random.pick(values)
  const pattern = (): Json =>
    random.happens(0.5) ? { Regex: random.pick(REGEXES) } : { String: some(' ', '', 'e', '▁') }
  const list = (): Json =>
    Array.from({ length: random.below(depth > 2 ? 1 : 4) }, () =>
      component(role, random, depth + 1),
    )
  const space = (): Fields => ({
    ...{ type: 'Metaspace', replacement: some('▁', '_', '', 'ab') },
    ...{ prepend_scheme: some('first', 'always', 'never', 'x'), split: some(true, false) },
  })
  const bytes = (): Fields => ({
    ...{ type: 'ByteLevel', add_prefix_space: some(true, false) },
    ...{ trim_offsets: some(true, false), use_regex: some(true, false) },
  })
  const replace = (): Fields => ({
    type: 'Replace',
    pattern: pattern(),
    content: some('', 'x', '▁'),
  })
  const strip = (): Fields => ({
    ...{ type: 'Strip', content: some(' ', 'a'), start: some(0, 1, 1e9), stop: some(0, 1) },
    ...{ strip_left: some(true, false), strip_right: some(true, false) },
  })
  const makers: Readonly<Record<typeof role, readonly (() => Json)[]>> = {
    normalizer: [
      () => ({ type: some('NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt') }),
      () => ({ type: 'Sequence', normalizers: list() }),
      () => ({ type: 'Prepend', prepend: some('▁', '', 'x'.repeat(1_000)) }),
      () => ({
        ...{ type: 'BertNormalizer', clean_text: some(true, false), lowercase: some(true, false) },
        ...{ handle_chinese_chars: true, strip_accents: some<Json>(true, null) },
      }),
      () => ({ type: 'Precompiled', precompiled_charsmap: some('', 'AAAA', '!') }),
      replace,
      strip,
      bytes,
    ],
    pre: [
      () => ({ type: some('Whitespace', 'WhitespaceSplit', 'BertPreTokenizer', 'UnicodeScripts') }),
      () => ({ type: 'Sequence', pretokenizers: list() }),
      () => ({ type: 'Digits', individual_digits: some(true, false) }),
      () => ({ type: 'Punctuation', behavior: behavior(random) }),
      () => ({ type: 'CharDelimiterSplit', delimiter: some(' ', 'e', 'ab', '') }),
      () => ({
        type: 'Split',
        pattern: pattern(),
        behavior: behavior(random),
        invert: some(true, false),
      }),
      () => ({ type: 'FixedLength', length: some(0, 1, 5) }),
      space,
      bytes,
    ],
    decoder: [
      () => ({ type: some('Fuse', 'ByteFallback') }),
      () => ({ type: 'Sequence', decoders: list() }),
      () => ({ type: 'WordPiece', prefix: '##', cleanup: true }),
      () => ({ type: 'BPEDecoder', suffix: '</w>' }),
      () => ({ type: 'CTC', pad_token: '', word_delimiter_token: '|', cleanup: false }),
      replace,
      strip,
      space,
      bytes,
    ],
    post: [
      () => ({ type: 'Sequence', processors: list() }),
      () => ({ type: 'BertProcessing', sep: ['</s>', 1], cls: ['<s>', some(0, -1, 1e10)] }),
      () => ({
        ...{ type: 'RobertaProcessing', sep: ['</s>', 1], cls: ['<s>', 0] },
        ...{ trim_offsets: true, add_prefix_space: some(true, false) },
      }),
      () => ({
        ...{ type: 'TemplateProcessing', special_tokens: {} },
        ...{ single: [{ Sequence: { id: 'A', type_id: 0 } }], pair: [] },
      }),
      bytes,
    ],
  }
  return random.pick(makers[role])()
}

function behavior(random: Random): string {
  const known = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']
  return random.pick([...known, 'Odd'])
}

/** A `tokenizer.json` of other components, another model, or other added tokens. */
export function plausibleTokenizer(text: string, random: Random): Buffer {
  const tokenizer = JSON.parse(text) as Fields & { model: Fields }
  const { model } = tokenizer
  const some = <T>(...values: readonly T[]): T => random.pick(values)
  const vocab = model['vocab'] as { [token: string]: number }
  const merges = model['merges'] as string[]
  const token = (): Json => ({
    ...{ id: some(0, 1, 511, 512, 600, 1e9, -1), content: some('<x>', '', ' ', 'the', '\n', 'e') },
    ...{ single_word: some(true, false), lstrip: some(true, false), rstrip: some(true, false) },
    ...{ normalized: some(true, false), special: some(true, false) },
  })
  const changes: readonly (() => void)[] = [
    () => (tokenizer['normalizer'] = component('normalizer', random)),
    () => (tokenizer['pre_tokenizer'] = random.happens(0.1) ? null : component('pre', random)),
    () => (tokenizer['decoder'] = component('decoder', random)),
    () => (tokenizer['post_processor'] = component('post', random)),
    () => (tokenizer['added_tokens'] = Array.from({ length: random.below(5) }, token)),
    () =>
      (tokenizer['truncation'] = {
        max_length: some(0, 1, 8),
        strategy: 'LongestFirst',
        stride: some(0, 9),
      }),
    () =>
      (tokenizer['padding'] = {
        strategy: some<Json>('BatchLongest', { Fixed: 1_000 }),
        pad_id: 0,
      }),
    () => (model['unk_token'] = some<Json>('<s>', 'nowhere', null)),
    () => (model['byte_fallback'] = some(true, false)),
    () => (model['fuse_unk'] = some(true, false)),
    () => (model['ignore_merges'] = some(true, false)),
    () => (model['dropout'] = some<Json>(0, 0.5, 1, 2, null)),
    () => (model['continuing_subword_prefix'] = some('##', '', 'é')),
    () => (model['end_of_word_suffix'] = some('</w>', '', 'é')),
    () => (model['merges'] = merges.map((each) => each.split(' '))),
    () => (model['merges'] = random.shuffled(merges)),
    () => (model['merges'] = merges.slice(random.below(merges.length))),
    () => (vocab[some('new', '', ' ', 'Ġnew')] = some(0, 512, 700, 2 ** 31)),
    () => void delete vocab[random.pick(Object.keys(vocab))],
    () =>
      (tokenizer['model'] = {
        ...{
          type: 'Unigram',
          unk_id: some<Json>(0, null, 9_999),
          byte_fallback: some(true, false),
        },
        vocab: Object.keys(vocab).map((piece, index) => [piece, some(-index, 0, -1e300)]),
      }),
    () =>
      (tokenizer['model'] = {
        ...{ type: some('WordPiece', 'WordLevel'), unk_token: some('<s>', 'nowhere'), vocab },
        ...{ continuing_subword_prefix: '##', max_input_chars_per_word: some(1, 100, 0) },
      }),
  ]
  for (let times = 1 + random.below(3); times > 0; times -= 1) random.pick(changes)()
  return Buffer.from(JSON.stringify(tokenizer))
}

/** A `tokenizer_config.json` with tokens in the places where one looks for them. */
export function plausibleTokenizerConfig(text: string, random: Random): Buffer {
  const config = JSON.parse(text) as Fields
  const token = (): Json =>
    random.pick<Json>([
      ...['<s>', '', '<new>', 'the', ' ', '\n', 'n'.repeat(500), null],
      { content: '<t>', special: true, lstrip: true, rstrip: false, normalized: true },
      { content: 'e', single_word: true, special: 'yes' },
      { __type: 'AddedToken', content: '' },
    ])
  const changes: readonly (() => void)[] = [
    () => (config[random.pick(['bos_token', 'unk_token', 'pad_token', 'odd_token'])] = token()),
    () => {
      const ids = ['0', '1', '512', '-1', 'x', '1e9']
      const decoder = ids.filter(() => random.happens(0.5)).map((id) => [id, token()])
      config['added_tokens_decoder'] = Object.fromEntries(decoder) as Fields
    },
    () => (config['additional_special_tokens'] = [token(), token()]),
    () => (config['extra_special_tokens'] = { image_token: token() }),
    () => (config['split_special_tokens'] = random.pick([true, false])),
    () => (config['tokenizer_class'] = random.pick(['LlamaTokenizer', '', 'X'])),
    () => (config['chat_template'] = random.pick<Json>(['{{ x }}', [{ name: 'a', template: '' }]])),
    () => (config['add_prefix_space'] = random.pick<Json>([true, null])),
    () => (config['model_max_length'] = 1e30),
  ]
  for (let times = 1 + random.below(3); times > 0; times -= 1) random.pick(changes)()
  return Buffer.from(JSON.stringify(config))
}
