/** @file What a checkpoint folder says about its tokenizer, read within bounds. */
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { AppError } from '@shared/errors'
import { shown } from '@shared/text'
import { boundedRead } from '@system/boundedRead'
import { entriesOf } from '@system/peek'
import { wrongContentOf } from '@system/wrongContent'
import { scanJson } from './jsonScan'
import type { ExtraToken } from './tokenizerProcess'

/** The largest in use hold some 300,000 tokens with their merges in about 35 MB, 2.5 million values. */
const TOKENIZER_LIMITS = { bytes: 128e6, parts: 8_000_000 }

/** Those of published models have a few thousand tokens at most. */
const CONFIG_LIMITS = { bytes: 16e6, parts: 500_000 }

export const TOKENIZER_HINT =
  'Perplexity and training need tokenizer.json in the checkpoint folder: copy it from the published model, or save the tokenizer ' +
  'once with transformers, which writes it.'

/** `tokenizer.json` and what the files beside it add. */
export interface TokenizerFiles {
  readonly file: string
  /** As the file has it, but without dropout. */
  readonly tokenizer: string
  /** `tokenizer_config.json`; `{}` when there is none. */
  readonly config: string
  /** In the order in which the reference adds them. */
  readonly tokens: readonly ExtraToken[]
  /** Of every file that has a say. */
  readonly digest: string
  /** Where something is not done as the files ask. */
  readonly remarks: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads `tokenizer.json`, and the tokens that transformers adds to it: those of `added_tokens_decoder` in
 * `tokenizer_config.json` or, in folders that have none, of `special_tokens_map.json` and `added_tokens.json`; then
 * the special tokens that are named.
 *
 * @throws AppError `bad_tokenizer` naming the file.
 */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const hash = createHash('sha256')
  const file = join(folder, 'tokenizer.json')
  const bytes = await readFile(file, TOKENIZER_LIMITS.bytes)
  if (!bytes) {
    const instead = await insteadOf(folder)
    throw new AppError('bad_tokenizer', `${folder} has no tokenizer.json${instead}.`, {
      hint: TOKENIZER_HINT,
      context: { file },
    })
  }
  hash.update(bytes)
  const dropout = scan(bytes, TOKENIZER_LIMITS.parts, file)
  const readFields = async (name: string): Promise<Fields> => {
    const path = join(folder, name)
    const found = await readFile(path, CONFIG_LIMITS.bytes)
    hash.update('\0').update(found ?? '')
    if (!found) return {}
    scan(found, CONFIG_LIMITS.parts, path)
    return parseObject(found, path)
  }
  const config = await readFields('tokenizer_config.json')
  const isLegacy = config['added_tokens_decoder'] === undefined
  const named = isLegacy ? { ...config, ...(await readFields('special_tokens_map.json')) } : config
  const ids = isLegacy ? await readFields('added_tokens.json') : {}
  return {
    file,
    tokenizer: decode(withoutDropout(bytes, dropout), file),
    config: JSON.stringify(config),
    tokens: [
      ...decoderTokens(config, join(folder, 'tokenizer_config.json')),
      ...tokensById(ids, named),
      ...specialTokens(named),
    ],
    digest: hash.digest('hex'),
    remarks: [
      ...(dropout ? ['The tokenizer drops merges by chance (dropout); they are kept here.'] : []),
      ...(config['split_special_tokens'] === true
        ? ['The tokenizer asks to split special tokens that stand in a text; they are kept whole.']
        : []),
    ],
  }
}

/** Tokenizers in other formats: SentencePiece, tiktoken, Mistral's, and a vocabulary with its merges. */
const OTHER_FORMATS =
  /\.(?:tiktoken|spm)$|^(?:tokenizer|spiece|sentencepiece).*\.model|^tekken\.json$|^vocab\.json$/

/** What there is where `tokenizer.json` is not, as the end of a sentence. */
async function insteadOf(folder: string): Promise<string> {
  const entries = await entriesOf(folder)
  if (entries.some(({ name }) => name === 'tokenizer.json'))
    return ': it is a link to what is not there'
  const other = entries.find(({ name }) => OTHER_FORMATS.test(name))
  return other ? `, only ${shown(other.name)}, which is not read` : ''
}

const NAMED = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`)

function decoderTokens(config: Fields, file: string): ExtraToken[] {
  const decoder = config['added_tokens_decoder']
  if (decoder === undefined) return []
  const names = new Set(NAMED.flatMap((key) => contentOf(config[key]) ?? []))
  return Object.entries(isFields(decoder) ? decoder : {})
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([id, value]) => {
      const token = tokenOf(value)
      if (!token) throw bad(file, `added_tokens_decoder.${id} is not a token`)
      return { ...token, special: token.special || names.has(token.content) }
    })
}

/** `added_tokens.json`, from before there were flags. */
function tokensById(ids: Fields, named: Fields): ExtraToken[] {
  const special = new Set(specialTokens(named).map(({ content }) => content))
  return Object.entries(ids)
    .sort(([, a], [, b]) => Number(a) - Number(b))
    .map(([content]) => ({
      content,
      special: special.has(content),
      normalized: !special.has(content),
    }))
}

/** Those that have a name, then the nameless. */
function specialTokens(fields: Fields): ExtraToken[] {
  const others = Object.keys(fields).filter((key) => key.endsWith('_token') && !NAMED.includes(key))
  const extra = fields['extra_special_tokens'] ?? fields['additional_special_tokens']
  const nameless: unknown[] = isFields(extra) || Array.isArray(extra) ? Object.values(extra) : []
  return [...[...NAMED, ...others].map((key) => fields[key]), ...nameless].flatMap((value) => {
    const token = tokenOf(value)
    return token ? [{ ...token, special: true }] : []
  })
}

/** A token as text, or with its flags. */
function tokenOf(value: unknown): ExtraToken | null {
  const content = contentOf(value)
  if (content === null) return null
  const fields = isFields(value) ? value : {}
  const flag = (key: string) => (typeof fields[key] === 'boolean' ? { [key]: fields[key] } : {})
  return {
    content,
    special: fields['special'] === true,
    ...flag('single_word'),
    ...flag('lstrip'),
    ...flag('rstrip'),
    ...flag('normalized'),
  }
}

function contentOf(value: unknown): string | null {
  const content = isFields(value) ? value['content'] : value
  return typeof content === 'string' && content !== '' ? content : null
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A measurement must come out the same twice. Only these bytes change: numbers keep their spelling. */
function withoutDropout(bytes: Uint8Array, at: readonly [number, number] | null): Uint8Array {
  if (!at) return bytes
  return Buffer.concat([bytes.subarray(0, at[0]), Buffer.from('null'), bytes.subarray(at[1])])
}

function parseObject(bytes: Uint8Array, file: string): Fields {
  const text = decode(bytes, file)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw bad(file, cause instanceof Error ? cause.message : 'not JSON', cause)
  }
  if (isFields(value)) return value
  throw bad(file, 'not a JSON object')
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw bad(file, 'not UTF-8 text', cause)
  }
}

/** Where the reference reader stops too. */
const MAX_DEPTH = 128

function scan(bytes: Uint8Array, maxParts: number, file: string): readonly [number, number] | null {
  const wrong = wrongContentOf(bytes)
  if (wrong) {
    throw new AppError('bad_tokenizer', `${file} ${wrong.what}.`, {
      hint: wrong.hint,
      context: { file, ...(wrong.actual === undefined ? {} : { actual: wrong.actual }) },
    })
  }
  const { parts, deepest, dropout } = scanJson(bytes, maxParts)
  if (parts > maxParts) throw bad(file, `it has more than ${maxParts} values`)
  if (deepest > MAX_DEPTH) throw bad(file, `it is nested deeper than ${MAX_DEPTH} levels`)
  return dropout
}

/** `null` when there is no such file. */
async function readFile(file: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    return await boundedRead(file, maxBytes, 'bad_tokenizer')
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null
    throw error
  }
}

function bad(file: string, actual: string, cause?: unknown): AppError {
  return new AppError('bad_tokenizer', `${basename(file)} cannot be read: ${actual}.`, {
    hint: TOKENIZER_HINT,
    context: { file, actual },
    ...(cause === undefined ? {} : { cause }),
  })
}
