/** @file `mergekit.yaml`: the same growth as a passthrough merge, for what only copies layers. */
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** Neighbouring layers of the base, first to last, taken as they are or with scaled outputs. */
interface Slice {
  first: number
  last: number
  readonly scale: number
}

/**
 * The plan as mergekit (a6e4028) reads it, or nothing where weights were computed or trained. A `layer_range` ends before
 * its second number. The first setting whose filter is in a tensor's name counts, and multiplies it.
 */
export function mergekit(subject: RecipeSubject): RecipeFiles {
  const slices = slicesOf(subject)
  if (slices === null) return {}
  return {
    'recipes/mergekit.yaml': `# The layers of this model as a mergekit recipe, which makes it from the base alone:
#   mergekit-yaml recipes/mergekit.yaml OUT
# LESA Workbench reads it back: lesa expand BASE --plan recipes/mergekit.yaml --out OUT
${slices.some(({ scale }) => scale === 0) ? '# A product with 0 leaves negative zeros, which compute the same: the files differ in bytes, the models do not.\n' : ''}merge_method: passthrough
dtype: ${subject.dtype}
slices:
${slices.map((slice) => sliceYaml(slice, subject.baseModel)).join('')}`,
  }
}

/** In the names of the matrices that a factor is for. */
const FILTERS = ['o_proj', 'down_proj']

function slicesOf(subject: RecipeSubject): Slice[] | null {
  const { layers, damp, isTrained, method, trained } = subject
  // A fitted layer is told as identity and is one no more.
  if (isTrained || method === 'fitted') return null
  // Where a norm follows a sublayer, it is the norm that is damped, and mergekit's filters have other names.
  const hasNormsAfter = trained.some(({ name }) =>
    /\.post_(feedforward|mlp)_layernorm\./.test(name),
  )
  if (hasNormsAfter && damp !== 1) return null
  const canScale = hasFilteredNames(subject)
  const slices: Slice[] = []
  for (const { kind, source } of layers) {
    if (source === null || !['original', 'copy', 'identity'].includes(kind)) return null
    const scale = kind === 'identity' ? 0 : kind === 'copy' ? damp : 1
    if (scale !== 1 && !canScale) return null
    const before = slices.at(-1)
    if (before?.scale === scale && before.last + 1 === source) before.last = source
    else slices.push({ first: source, last: source, scale })
  }
  return slices
}

/** Whether each new layer has matrices that these are in the names of: elsewhere nothing would be scaled. */
function hasFilteredNames({ layerPrefix, newLayers, trained }: RecipeSubject): boolean {
  return newLayers.every((layer) => {
    const own = trained.filter(({ name }) => name.startsWith(`${layerPrefix}${layer}.`))
    return FILTERS.every((filter) => own.some(({ name }) => name.includes(filter)))
  })
}

function sliceYaml({ first, last, scale }: Slice, model: string): string {
  const source = `  - sources:
      - model: ${JSON.stringify(model)}
        layer_range: [${first}, ${last + 1}]
`
  if (scale === 1) return source
  const settings = [...FILTERS.map((filter) => `filter: ${filter}, value: ${scale}`), 'value: 1']
  return `${source}        parameters:
          scale:
${settings.map((setting) => `            - {${setting}}`).join('\n')}
`
}
