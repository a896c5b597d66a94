import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  decodeSafetensors,
  encodeSafetensors,
  writeTinyCheckpoint,
  type FixtureTensor,
  type TinyCheckpointOptions,
} from './checkpoints'

type TinyOptions = Omit<TinyCheckpointOptions, 'dir'>

/** A checkpoint that is not as it usually is, and still means one model. */
export interface OddCheckpoint {
  /** The usual checkpoint of the same model. */
  readonly plain: TinyOptions
  /** Changes that one into the odd one. */
  readonly change: (folder: string) => Promise<void>
  /** What has to be said of it; null where nothing is assumed. */
  readonly remark: RegExp | null
  /** The reference loader (transformers 5.18) does not take it for the model, though nothing else can be meant. */
  readonly isBeyondReference?: boolean
}

const INDEX = 'model.safetensors.index.json'
const FIRST_SHARD = 'model-00001-of-00003.safetensors'

/** Rewrites the tensors of every file. */
async function editTensors(
  folder: string,
  edit: (tensors: FixtureTensor[], file: string) => FixtureTensor[],
): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.safetensors')) continue
    const file = join(folder, name)
    const { tensors } = await decodeSafetensors(file)
    await writeFile(file, encodeSafetensors(edit([...tensors], name)))
  }
}

const rename =
  (change: (name: string) => string) =>
  (folder: string): Promise<void> =>
    editTensors(folder, (tensors) =>
      tensors.map((tensor) => ({ ...tensor, name: change(tensor.name) })),
    )

const drop =
  (isDropped: (name: string) => boolean) =>
  (folder: string): Promise<void> =>
    editTensors(folder, (tensors) => tensors.filter(({ name }) => !isDropped(name)))

const add =
  (make: (tensors: readonly FixtureTensor[]) => FixtureTensor[]) =>
  (folder: string): Promise<void> =>
    editTensors(folder, (tensors) => [...tensors, ...make(tensors)])

async function editText(file: string, edit: (text: string) => string): Promise<void> {
  await writeFile(file, edit(await readFile(file, 'utf8')))
}

const config =
  (edit: (text: string) => string) =>
  (folder: string): Promise<void> =>
    editText(join(folder, 'config.json'), edit)

const setConfig = (changes: Readonly<Record<string, unknown>>) =>
  config((text) => JSON.stringify({ ...(JSON.parse(text) as object), ...changes }))

const index =
  (edit: (map: Record<string, string>) => void) =>
  (folder: string): Promise<void> =>
    editText(join(folder, INDEX), (text) => {
      const value = JSON.parse(text) as { weight_map: Record<string, string> }
      edit(value.weight_map)
      return JSON.stringify(value)
    })

function like(tensor: FixtureTensor, name: string, value = 0): FixtureTensor {
  return { ...tensor, name, bytes: new Uint8Array(tensor.bytes.byteLength).fill(value) }
}

function bias(tensors: readonly FixtureTensor[], name: string, size: number): FixtureTensor {
  const { dtype } = tensors[0]!
  return { name, dtype, shape: [size], bytes: new Uint8Array(size * 2).fill(0x3f) }
}

/** The tensors of some layers under other numbers. */
function moved(
  tensors: readonly FixtureTensor[],
  from: number,
  to: number,
  isMoved: (name: string) => boolean = () => true,
): FixtureTensor[] {
  const [old, next] = [`model.layers.${from}.`, `model.layers.${to}.`]
  return tensors
    .filter(({ name }) => name.startsWith(old) && isMoved(name))
    .map((tensor) => ({ ...tensor, name: tensor.name.replace(old, next) }))
}

const zeroBiases = (folder: string): Promise<void> =>
  editTensors(folder, (tensors) =>
    tensors.map((tensor) => (tensor.name.endsWith('.bias') ? like(tensor, tensor.name) : tensor)),
  )

export const ODD_CHECKPOINTS: Readonly<Record<string, OddCheckpoint>> = {
  'tied, with only the head': {
    plain: { tieWordEmbeddings: true },
    change: rename((name) => (name === 'model.embed_tokens.weight' ? 'lm_head.weight' : name)),
    remark: /^Only lm_head\.weight is stored/,
  },
  LLaMAForCausalLM: {
    plain: {},
    change: setConfig({ architectures: ['LLaMAForCausalLM'] }),
    remark: /LLaMAForCausalLM is read as LlamaForCausalLM/,
  },
  'the class of another family': {
    plain: {},
    change: setConfig({ architectures: ['YiForCausalLM'] }),
    remark: /YiForCausalLM is read as LlamaForCausalLM/,
  },
  'the decoder’s own class': {
    plain: { tieWordEmbeddings: true },
    change: setConfig({ architectures: ['LlamaModel'] }),
    remark: /LlamaModel is read as LlamaForCausalLM/,
  },
  'no architectures': {
    plain: {},
    change: setConfig({ architectures: undefined }),
    remark: null,
  },
  'no model_type': {
    plain: {},
    change: setConfig({ model_type: undefined, architectures: ['LLaMAForCausalLM'] }),
    remark: /no model_type; by its class the model is of the type llama/,
    isBeyondReference: true,
  },
  'custom code': {
    plain: {},
    change: setConfig({ auto_map: { AutoConfig: 'configuration_x.XConfig' } }),
    remark: /code of its own \(auto_map\), which is not run here/,
  },
  'an index with a tensor that its shard lacks': {
    plain: { shards: 3 },
    change: index((map) => (map['model.layers.9.mlp.up_proj.weight'] = FIRST_SHARD)),
    remark: /The index lists 1 tensors that its files do not hold .*model\.layers\.9/,
  },
  'an index with a missing shard of needless tensors': {
    plain: { shards: 3 },
    change: index((map) => (map['mtp.norm.weight'] = 'gone.safetensors')),
    remark: /The index lists 1 tensors that its files do not hold .*mtp\.norm\.weight/,
    isBeyondReference: true,
  },
  'an index with a tied-away head': {
    plain: { shards: 3, tieWordEmbeddings: true },
    change: index((map) => (map['lm_head.weight'] = FIRST_SHARD)),
    remark: /does not need: lm_head\.weight/,
  },
  'an index that forgets a tensor': {
    plain: { shards: 3 },
    change: index((map) => delete map['model.norm.weight']),
    remark: /does not say where model\.norm\.weight/,
  },
  'an index that names another shard': {
    plain: { shards: 3 },
    change: index((map) => (map['model.norm.weight'] = FIRST_SHARD)),
    remark: /does not say where model\.norm\.weight/,
  },
  'more layers than the config says': {
    plain: {},
    change: add((tensors) => [...moved(tensors, 0, 4), ...moved(tensors, 1, 5)]),
    remark: /^The config has 4 layers, the files have more: 18 tensors \(layer 4, 5\) are left out/,
  },
  'a part of a layer after the last': {
    plain: { shards: 3 },
    change: async (folder) => {
      await add((tensors) => moved(tensors, 3, 4, (name) => name.includes('mlp')))(folder)
      await index(
        (map) => (map['model.layers.4.mlp.up_proj.weight'] = 'model-00003-of-00003.safetensors'),
      )(folder)
    },
    remark: /are left out/,
  },
  'tensors of no layer': {
    plain: {},
    change: add((tensors) =>
      moved(tensors, 0, 0).map((tensor) => ({
        ...tensor,
        name: tensor.name.replace('.0.', '.00.'),
      })),
    ),
    remark: /9 tensors .*are left out/,
  },
  'a prediction module beside the layers': {
    plain: {},
    change: add((tensors) => [like(tensors[0]!, 'mtp.embed.weight', 1)]),
    remark: /1 tensors are none of this architecture's and not used: mtp\.embed\.weight/,
  },
  'a config with Infinity and NaN': {
    plain: {},
    change: config((text) =>
      text.replace('{', '{"x": [Infinity, -Infinity, NaN, "NaN, Infinity"], "y": {"z":-Infinity},'),
    ),
    remark: /^config\.json holds Infinity, -Infinity, NaN, which is no JSON/,
  },
  'a config with repeated keys': {
    plain: {},
    change: config((text) => text.replace('{', '{"num_hidden_layers": 3, "rms_norm_eps": 0.5,')),
    remark: /^config\.json says num_hidden_layers, rms_norm_eps more than once/,
  },
  'an index with repeated keys': {
    plain: { shards: 3 },
    change: (folder) =>
      editText(join(folder, INDEX), (text) =>
        text.replace('"weight_map": {', '"weight_map": {"model.norm.weight": "gone.safetensors",'),
      ),
    remark: /^model\.safetensors\.index\.json says model\.norm\.weight more than once/,
  },
  'a byte-order mark in the config': {
    plain: {},
    change: config((text) => `\u{feff}${text}`),
    remark: /^config\.json begins with a byte-order mark/,
    isBeyondReference: true,
  },
  'a byte-order mark in the index': {
    plain: { shards: 3 },
    change: (folder) => editText(join(folder, INDEX), (text) => `\u{feff}${text}`),
    remark: /^model\.safetensors\.index\.json begins with a byte-order mark/,
    isBeyondReference: true,
  },
  'no biases where the config has them': {
    plain: { attentionBias: true, mlpBias: true },
    change: async (folder) => {
      await zeroBiases(folder)
      await drop((name) => name.endsWith('.bias'))(folder)
    },
    remark: /biases that the files lack \(.*they are zero/,
  },
  'no biases where the family has them': {
    plain: { architecture: 'qwen2' },
    change: drop((name) => name.endsWith('.bias')),
    remark: /biases that the files lack \(.*they are zero/,
  },
  'a bias that some layers lack': {
    plain: { architecture: 'qwen2' },
    change: drop((name) => /\.[13]\.self_attn\.k_proj\.bias$/.test(name)),
    remark: /lack in some layers \(self_attn\.k_proj\.bias\)/,
  },
  'biases that the config does not have': {
    plain: {},
    change: add((tensors) =>
      [0, 1, 2, 3].map((layer) => bias(tensors, `model.layers.${layer}.self_attn.o_proj.bias`, 32)),
    ),
    remark: /^4 biases of the files are not in the config and not used/,
  },
  'the tables of old rotary embeddings': {
    plain: {},
    change: add(() =>
      [0, 1, 2, 3].map((layer) => ({
        name: `model.layers.${layer}.self_attn.rotary_emb.inv_freq`,
        dtype: 'F32',
        shape: [4],
        bytes: new Uint8Array(16),
      })),
    ),
    remark: null,
  },
  'names of the decoder without its head': {
    plain: { tieWordEmbeddings: true },
    change: rename((name) => name.replace(/^model\./, '')),
    remark: /read under their usual names: embed_tokens\.weight as model\.embed_tokens\.weight/,
  },
  'names of the decoder beside a head': {
    plain: { architecture: 'qwen3' },
    change: rename((name) => name.replace(/^model\./, '')),
    remark: /read under their usual names/,
  },
  'a head below the decoder': {
    plain: {},
    change: rename((name) => name.replace(/^lm_head/, 'model.lm_head')),
    remark: /model\.lm_head\.weight as lm_head\.weight/,
  },
  'names within a parallel module': {
    plain: {},
    change: rename((name) => `module.${name}`),
    remark: /read under their usual names: module\./,
    isBeyondReference: true,
  },
  'names within a compiled module': {
    plain: { architecture: 'phi3' },
    change: rename((name) => `_orig_mod.module.${name}`),
    remark: /read under their usual names: _orig_mod\./,
    isBeyondReference: true,
  },
  'older words for layer types': {
    plain: {
      architecture: 'qwen3',
      config: {
        use_sliding_window: true,
        sliding_window: 8,
        layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
      },
    },
    change: setConfig({
      layer_types: ['sliding_attention', 'attention', 'sliding_attention', 'attention'],
    }),
    remark: null,
  },
  'Mistral with a window in some layers': {
    plain: {
      architecture: 'mistral',
      config: {
        head_dim: 8,
        sliding_window: 8,
        layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
      },
    },
    change: () => Promise.resolve(),
    remark: null,
  },
  'a list of as many entries as layers': {
    plain: {},
    change: setConfig({ stop_strings: ['a', 'b', 'c', 'd'], unheard_of: [1, 2, 3, 4] }),
    remark: /^config\.json has unheard_of with as many entries as layers/,
  },
  'a tokenizer that was not downloaded': {
    plain: {},
    change: (folder) =>
      writeFile(
        join(folder, 'tokenizer.json'),
        'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n',
      ),
    remark: /^tokenizer\.json is a Git LFS pointer/,
  },
  'weights in other formats beside': {
    plain: { shards: 3 },
    change: async (folder) => {
      for (const name of ['pytorch_model.bin', 'consolidated.safetensors', 'training_args.bin']) {
        await writeFile(join(folder, name), 'not weights')
      }
    },
    remark: null,
  },
}

/**
 * Makes a checkpoint of four layers uneven: `left` only in the layers 0 and 1, `right` only in 2 and 3, `shape` of one
 * shape in the first two and of another in the others, `count` of integers in all, `lone` in the last one.
 */
export async function makeUneven(folder: string): Promise<void> {
  const floats = (name: string, size: number, value: number): FixtureTensor => {
    const bytes = Buffer.alloc(size * 4)
    for (let at = 0; at < size; at += 1) bytes.writeFloatLE(value, at * 4)
    return { name, dtype: 'F32', shape: [size], bytes }
  }
  const inLayers = (layers: readonly number[], suffix: string, size: (layer: number) => number) =>
    layers.map((layer) => floats(`model.layers.${layer}.${suffix}`, size(layer), layer + 1))
  await add(() => [
    ...inLayers([0, 1], 'left', () => 3),
    ...inLayers([2, 3], 'right', () => 3),
    ...inLayers([0, 1, 2, 3], 'shape', (layer) => (layer < 2 ? 3 : 5)),
    ...inLayers([0, 1, 2, 3], 'count', () => 2).map((tensor) => ({ ...tensor, dtype: 'I32' })),
    ...inLayers([3], 'lone', () => 1),
  ])(folder)
}

/** Writes the odd checkpoint, and its usual form beside it where `plain` is given. */
export async function writeOddCheckpoint(
  odd: OddCheckpoint,
  folder: string,
  plain?: string,
): Promise<string> {
  await rm(folder, { recursive: true, force: true })
  await writeTinyCheckpoint({ ...odd.plain, dir: folder })
  await odd.change(folder)
  if (plain !== undefined) await writeTinyCheckpoint({ ...odd.plain, dir: plain })
  return folder
}
