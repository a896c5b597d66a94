/**
 * @file Writes `ledger.txt` and `ledger-eval.txt` of `resources/demo-texts`: the log of a trading port, made of a small
 * grammar and a seed. It shares neither words nor phrases with the miniatures that the demo model knows, and is as regular as they are, so that a few
 * steps of training learn much of it. `npm run far-text` writes the same bytes again.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const VESSELS =
  'Albatross|Mermaid|Petrel|Triumph|Halcyon|Vigil|Corsair|Dauntless|Osprey|Sovereign'.split('|')
const MASTERS =
  'Captain Brandt|Captain Okafor|Mistress Quill|Captain Ivarsson|Skipper Dunmore|Captain Zhao'.split(
    '|',
  )
const CARGO =
  'pepper|copper ingots|raw silk|whale oil|timber|indigo|salted cod|porcelain|hemp rope|saffron'.split(
    '|',
  )
const PORTS = 'Lisbon|Trieste|Zanzibar|Bergen|Valparaiso|Muscat|Riga|Batavia|Genoa|Cork'.split('|')
const WINDS =
  'a stiff northerly|a failing breeze|heavy swell|thick fog|a following gale|dead calm'.split('|')
const FAULTS =
  'a sprung mast|two torn topsails|a fouled anchor|a leaking hull|a broken capstan'.split('|')
const DUTIES = 'harbour dues|pilotage|quarantine fees|lighthouse toll|wharfage'.split('|')

/** One to train on or fit to, another to measure on. */
export const TEXTS = [
  { name: 'ledger.txt', seed: 20_250_807, characters: 150_000 },
  { name: 'ledger-eval.txt', seed: 7, characters: 20_000 },
]

/** Numbers from 0 to `limit` − 1 (mulberry32). */
function seeded(seed) {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

/** An entry of the log, as a line. */
function entry(below, number) {
  const one = (list) => list[below(list.length)]
  const [vessel, cargo, from] = [one(VESSELS), one(CARGO), one(PORTS)]
  const to = one(PORTS.filter((port) => port !== from))
  const tons = 20 + below(180)
  const rate = 2 + below(7)
  const arrival =
    `Entry ${number}. The ${vessel}, ${one(MASTERS)} commanding, entered from ${from} under ${one(WINDS)}, laden with ` +
    `${tons} tons of ${cargo}.`
  const middle = [
    () => `Surveyors reported ${one(FAULTS)}; repairs were ordered before clearance.`,
    () => `The ${one(DUTIES)} came to ${rate} florins per ton, in all ${tons * rate} florins.`,
    () => `Half the ${cargo} was consigned to ${to}, the remainder held in bond.`,
    () => `Customs officers weighed the ${cargo} twice and found the manifest correct.`,
  ]
  const first = below(middle.length)
  const second = (first + 1 + below(middle.length - 1)) % middle.length
  const end = [
    `Cleared outward for ${to} with the evening tide.`,
    `Remains at berth ${1 + below(40)} awaiting orders from ${to}.`,
    `Query: whence came the ${vessel}? Reply: ${from}. Query: what did she carry? Reply: ${cargo}.`,
  ]
  return [arrival, middle[first](), middle[second](), one(end)].join(' ')
}

/** A whole text. */
export function farText({ seed, characters }) {
  const below = seeded(seed)
  const lines = []
  for (let length = 0; length < characters; length += lines.at(-1).length + 1) {
    lines.push(entry(below, lines.length + 1))
  }
  return `${lines.join('\n')}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(import.meta.dirname, '..', 'resources', 'demo-texts')
  for (const text of TEXTS) await writeFile(join(folder, text.name), farText(text))
}
