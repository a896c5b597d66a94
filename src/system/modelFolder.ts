/** @file What a folder that somebody takes for a model is, told from the names in it and the first bytes of a few files. */
import { lstat, readdir, stat } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { AppError, type ErrorCode } from '@shared/errors'
import { hubPlaceOf, hubReferenceOf } from '@shared/hub'
import { shown } from '@shared/text'
import { hubCacheFolder, isRepositoryFolder } from './hubCache'
import { objectOf, readObject, readStart, type JsonObject } from './peek'
import { TELLING_BYTES, wrongContentOf } from './wrongContent'

const INDEX = 'model.safetensors.index.json'
const SHARD = /^model-(\d+)-of-(\d+)\.safetensors$/
const VARIANT =
  /^model\.safetensors\.index\.([\w-]+)\.json$|^model\.([\w-]+)(?:-\d+-of-\d+)?\.safetensors$/
const PICKLED =
  /^(?:pytorch_model|consolidated|model|rust_model|flax_model|tf_model).*\.(?:bin|pt|pth|ot|msgpack|h5)$/
const CONVERT = (folder: string): string =>
  `Convert it: python -c "from transformers import AutoModelForCausalLM as M; ` +
  `M.from_pretrained('${folder}', dtype='auto').save_pretrained('${folder}-safetensors')".`

/** A config is a few kilobytes. */
const MAX_CONFIG_BYTES = 16e6
/** Names that an answer lists. */
const MAX_NAMED = 3

interface Explained {
  readonly code?: ErrorCode
  /** What follows the path of the folder or file. */
  readonly what: string
  readonly hint: string
  /** Within the folder; the folder itself without. */
  readonly file?: string
  readonly actual?: string
  readonly field?: string
}

/** Whether a folder holds a checkpoint, from the names in it. */
export async function holdsModel(folder: string): Promise<boolean> {
  const isThere = async (name: string): Promise<boolean> =>
    (await stat(join(folder, name)).catch(() => null)) !== null
  return (
    (await isThere('config.json')) &&
    ((await isThere('model.safetensors')) || (await isThere(INDEX)))
  )
}

/**
 * Says what a path is that could not be opened as a model, and what to do about it; `null` when nothing is found that
 * says more than the failure itself. Cheap enough to ask after every failure: a few files are looked into.
 */
export async function explainFolder(path: string): Promise<AppError | null> {
  const found = await stat(path).catch(() => null)
  const explained = found === null ? await absent(path) : await present(path, found.isDirectory())
  if (explained === null) return null
  const { code = 'bad_checkpoint', what, hint, file, actual, field } = explained
  const place = file === undefined ? path : join(path, file)
  return new AppError(code, `${place} ${what}.`, {
    hint,
    context: {
      file: place,
      ...(actual === undefined ? {} : { actual }),
      ...(field === undefined ? {} : { field }),
    },
  })
}

async function absent(path: string): Promise<Explained | null> {
  const code = 'not_found'
  const isLink = (await lstat(path).catch(() => null))?.isSymbolicLink() ?? false
  if (isLink)
    return { code, what: 'is a link to what is not there', hint: 'Find out where it led.' }
  // The colon and slashes of an address have become those of a path.
  const given = relative(process.cwd(), path)
    .replaceAll('\\', '/')
    .replace(/^https?:\//, '')
  const reference = given.includes('/') ? hubReferenceOf(given) : null
  if (reference === null) return null
  const { repository: id, revision } = reference
  const named = revision === null ? id : `${id} at ${revision}`
  return {
    code,
    what: `does not exist, and the Hugging Face cache (${hubCacheFolder()}) does not hold ${named}`,
    hint: `Give a folder, or download the model: hf download ${id}${revision === null ? '' : ` --revision ${revision}`}.`,
  }
}

async function present(path: string, isFolder: boolean): Promise<Explained | null> {
  if (!isFolder) return ofFile(path)
  const names = await readdir(path).catch(() => null)
  if (names === null) return null
  const folder: Looked = { path, names, hasWeights: names.some(isWeights) }
  for (const look of LOOKS) {
    const explained = await look(folder)
    if (explained) return explained
  }
  return null
}

interface Looked {
  readonly path: string
  readonly names: readonly string[]
  /** Under the names that are read. */
  readonly hasWeights: boolean
}

function isWeights(name: string): boolean {
  return name === 'model.safetensors' || name === INDEX
}

function ofFile(path: string): Explained {
  const name = basename(path)
  if (/\.gguf$/i.test(name)) return GGUF
  const converts = /\.(?:bin|pt|pth|ckpt|h5|msgpack)$/i.test(name)
  return {
    code: 'not_found',
    what: 'is a file, not the folder of a model',
    hint: converts
      ? 'Only safetensors are read; give the folder that holds config.json and the weights.'
      : 'Give the folder that holds config.json and the weights.',
  }
}

const GGUF: Explained = {
  what: 'is a GGUF file, which is made for running a model, not for changing it',
  hint: 'Take the model that it was made of (its safetensors), and convert the grown one afterwards.',
}

/** In this order: what is wrong with a file that is read comes before what is missing. */
const LOOKS: readonly ((folder: Looked) => Explained | null | Promise<Explained | null>)[] = [
  emptiness,
  cache,
  danglingLinks,
  wrongContents,
  adapter,
  pipeline,
  quantisation,
  otherFormats,
  otherNames,
  missingConfig,
  modelWithin,
]

function emptiness({ names }: Looked): Explained | null {
  return names.length > 0
    ? null
    : { what: 'is empty', hint: 'Give the folder that holds config.json and the weights.' }
}

function cache({ path, names }: Looked): Explained | null {
  const models = names.filter((name) => /^models--./.test(name))
  if (models.length > 0) {
    const ids = models.slice(0, MAX_NAMED).map((name) => name.slice(8).replaceAll('--', '/'))
    const more = models.length > ids.length ? ', …' : ''
    return {
      what: 'is a Hugging Face cache, which holds models and is none',
      hint: `Give one of them: ${ids.join(', ')}${more}.`,
    }
  }
  if (isRepositoryFolder(path) || (names.includes('blobs') && names.includes('snapshots'))) {
    return {
      what: 'holds no revision of the model that was downloaded',
      hint: 'Download it again with hf download.',
    }
  }
  return names.includes('hub') && names.length < 20 && !names.includes('config.json')
    ? { what: 'holds no model itself', hint: `Look in ${join(path, 'hub')}.` }
    : null
}

/** Files that opening reads. */
function readFiles({ names }: Looked): string[] {
  return names.filter((name) => name === 'config.json' || name === INDEX || isShard(name)).sort()
}

function isShard(name: string): boolean {
  return name === 'model.safetensors' || SHARD.test(name)
}

async function danglingLinks(folder: Looked): Promise<Explained | null> {
  const { path } = folder
  for (const file of readFiles(folder)) {
    if ((await stat(join(path, file)).catch(() => null)) !== null) continue
    if (!(await lstat(join(path, file)).catch(() => null))?.isSymbolicLink()) continue
    const id = hubPlaceOf(join(path, file))?.repository
    return {
      file,
      what: 'is a link to a file that is not there',
      hint:
        id === undefined
          ? 'Put the file there that it stands for, or download the model again.'
          : `The download is incomplete or was cleaned up: hf download ${id}.`,
    }
  }
  return null
}

async function wrongContents(folder: Looked): Promise<Explained | null> {
  for (const file of readFiles(folder)) {
    const bytes = await readStart(join(folder.path, file), TELLING_BYTES)
    const explained = bytes && wrongContentOf(bytes)
    if (explained) return { file, ...explained }
  }
  return null
}

async function adapter({ path, names, hasWeights }: Looked): Promise<Explained | null> {
  if (hasWeights || !names.some((name) => /^adapter_(?:config\.json|model\.)/.test(name)))
    return null
  const base = (await readObject(join(path, 'adapter_config.json'), MAX_CONFIG_BYTES))?.[
    'base_model_name_or_path'
  ]
  const name = typeof base === 'string' && base !== '' ? base.slice(0, 200) : 'its base model'
  return {
    what: `holds an adapter (LoRA) of ${name}, not a model`,
    hint: 'Merge it into its base first (peft: merge_and_unload), save that, and grow the merged model.',
  }
}

function pipeline({ names }: Looked): Explained | null {
  if (names.includes('model_index.json')) {
    return {
      code: 'unsupported_architecture',
      what: 'holds a diffusers pipeline, which has no decoder layers of a language model',
      hint: 'Give the folder of a causal language model.',
    }
  }
  return names.includes('modules.json') && names.includes('config_sentence_transformers.json')
    ? {
        code: 'unsupported_architecture',
        what: 'holds a model of sentence embeddings, not a causal language model',
        hint: 'Give the folder of a causal language model.',
      }
    : null
}

/** What can be done about quantised weights. */
export const QUANTISED_HINT =
  'Use the model in BF16, F16 or F32, and quantise the grown one afterwards.'

async function quantisation({ path, names }: Looked): Promise<Explained | null> {
  const config = await readObject(join(path, 'config.json'), MAX_CONFIG_BYTES)
  const said = config && quantisationOf(config)
  const other = names.find((name) => Object.hasOwn(QUANTISED_BY_FILE, name))
  const [method, file, field] = said
    ? [said.method, 'config.json', said.field]
    : [QUANTISED_BY_FILE[other ?? ''], other]
  if (method === undefined || file === undefined) return null
  return {
    code: 'unsupported_dtype',
    file,
    what: `belongs to a model that is quantised (${method}); quantised models cannot be grown`,
    hint: QUANTISED_HINT,
    actual: method,
    ...(field === undefined ? {} : { field }),
  }
}

const QUANTISED_BY_FILE: Readonly<Record<string, string>> = {
  'quantize_config.json': 'GPTQ',
  'quant_config.json': 'AWQ',
}

/** How a config says that the weights are quantised, MLX's way included, and where; `null` when it does not. */
export function quantisationOf(
  config: JsonObject,
): { readonly method: string; readonly field: string } | null {
  const method = quantisationNamed(config)
  if (method !== null) return { method, field: 'quantization_config' }
  const mlx = objectOf(config['quantization'])
  return mlx && 'bits' in mlx ? { method: 'MLX', field: 'quantization' } : null
}

/** How a config says that the weights are quantised; `null` when it does not. */
export function quantisationNamed(config: JsonObject): string | null {
  const given = config['quantization_config'] ?? config['compression_config']
  if (given === undefined || given === null) return null
  const method = objectOf(given)?.['quant_method']
  if (typeof method === 'string') return shown(method, 50)
  const isBnb = Object.keys(given).some((key) => /^(?:_?load_in_[48]bit|bnb_)/.test(key))
  return isBnb ? 'bitsandbytes' : 'in a way that the config does not name'
}

function otherFormats({ path, names, hasWeights }: Looked): Explained | null {
  if (hasWeights || names.some((name) => SHARD.test(name))) return null
  const gguf = names.find((name) => /\.gguf$/i.test(name))
  if (gguf !== undefined) return { ...GGUF, file: gguf }
  const pickled = names.find((name) => PICKLED.test(name))
  if (pickled === undefined) return null
  return {
    what: `has no safetensors weights, but ${pickled}; only safetensors are read`,
    hint: names.includes('config.json')
      ? CONVERT(path)
      : 'Take the model in the format of transformers, with its config.json.',
    actual: pickled,
  }
}

/** Safetensors that are there, but not under a name that is read. */
function otherNames({ names, hasWeights }: Looked): Explained | null {
  if (hasWeights) return null
  const shards = names.filter((name) => SHARD.test(name))
  if (shards.length > 0) {
    const count = Number(SHARD.exec(shards[0] ?? '')?.[2])
    return {
      what: `holds ${shards.length} of ${count} shards, but not the index that says which tensor is where`,
      hint: `Download ${INDEX} of the same model too.`,
      actual: shards[0] ?? '',
    }
  }
  const variant = names.map((name) => VARIANT.exec(name)).find((match) => match !== null)
  if (variant) {
    const [file, ofIndex, ofFile = ''] = variant
    const plain = ofIndex === undefined ? 'model.safetensors' : INDEX
    return {
      what: `holds the weights as the variant ${ofIndex ?? ofFile} only`,
      hint: `Rename ${file} to ${plain} (or link it), or download the model without a variant.`,
      actual: file,
    }
  }
  const other = names.find((name) => /\.safetensors$/i.test(name))
  if (other === undefined) return null
  return {
    what: `has no model.safetensors, but ${other}`,
    hint: other.startsWith('consolidated')
      ? 'That is Mistral’s own format: take the files in the format of transformers.'
      : 'If these are the weights, rename the file to model.safetensors.',
    actual: other,
  }
}

function missingConfig({ names, hasWeights }: Looked): Explained | null {
  return hasWeights && !names.includes('config.json')
    ? {
        what: 'has weights but no config.json, which says what they mean',
        hint: 'Put the config.json of the same model beside them.',
      }
    : null
}

/** One folder too high. */
async function modelWithin({ path, names, hasWeights }: Looked): Promise<Explained | null> {
  if (hasWeights || names.includes('config.json')) return null
  const within: string[] = []
  for (const name of names.slice(0, 200)) {
    if (within.length <= MAX_NAMED && (await holdsModel(join(path, name)))) within.push(name)
  }
  const named = within.slice(0, MAX_NAMED).join(', ')
  return within.length === 0
    ? null
    : {
        what:
          within.length === 1
            ? 'holds no model itself, but one in a folder'
            : 'holds models in folders, and none itself',
        hint: `Give the folder itself: ${named}${within.length > MAX_NAMED ? ', …' : ''}.`,
      }
}
