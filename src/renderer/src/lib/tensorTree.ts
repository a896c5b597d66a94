import type { TensorTable } from '@shared/statistics'

/** A row of the tree: a module with what is under it, or one tensor. */
export interface TensorRow {
  /** Full name of the tensor or module; unique. */
  readonly path: string
  /** What is written in the row: the part of the name that its parent has not said. */
  readonly label: string
  readonly depth: number
  /** Index into the table; `null` for a module. */
  readonly tensor: number | null
  readonly isExpanded: boolean
  readonly tensors: number
  readonly parameters: number
  readonly bytes: number
  /** Place among the rows of the same parent, from 1, and how many these are. */
  readonly position: number
  readonly siblings: number
}

interface Node {
  readonly path: string
  readonly label: string
  readonly tensor: number | null
  /** Tensors under it, in the table's order. */
  readonly members: readonly number[]
  readonly parameters: number
  readonly bytes: number
}

/**
 * The tensors of a checkpoint by the modules of their names. Modules are taken apart only when they are looked into, so
 * that half a million names cost one pass at first. A module with a single child is written in one row with it.
 */
export class TensorTree {
  readonly #table: TensorTable
  readonly #lowerNames: readonly string[]
  readonly #children = new Map<string, readonly Node[]>()

  constructor(table: TensorTable) {
    this.#table = table
    this.#lowerNames = table.names.map((name) => name.toLowerCase())
  }

  /** Rows in sight when the modules in `expanded` are open. */
  rows(expanded: ReadonlySet<string>): TensorRow[] {
    const rows: TensorRow[] = []
    const everything = Array.from(this.#table.names, (_, index) => index)
    const walk = (nodes: readonly Node[], depth: number): void => {
      for (const [at, node] of nodes.entries()) {
        const isExpanded = node.tensor === null && expanded.has(node.path)
        rows.push(rowOf(node, depth, isExpanded, at + 1, nodes.length))
        if (isExpanded) walk(this.#childrenOf(node.path, node.members), depth + 1)
      }
    }
    walk(this.#childrenOf('', everything), 0)
    return rows
  }

  /** Tensors whose name or element type contains every word, as a flat list. */
  search(text: string): TensorRow[] {
    const words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '')
    const { names, dtypes, dtypeOf } = this.#table
    const found = this.#lowerNames.flatMap((name, index) => {
      const dtype = dtypes[dtypeOf[index] ?? -1]?.toLowerCase()
      return words.every((word) => name.includes(word) || dtype === word) ? [index] : []
    })
    return found.map((index, at) => {
      const name = names[index] ?? ''
      return rowOf(this.#leaf(index, name), 0, false, at + 1, found.length)
    })
  }

  #childrenOf(path: string, members: readonly number[]): readonly Node[] {
    const known = this.#children.get(path)
    if (known) return known
    const start = path === '' ? 0 : path.length + 1
    const groups = new Map<string, number[]>()
    for (const index of members) {
      const name = this.#table.names[index] ?? ''
      const end = name.indexOf('.', start)
      const group = end < 0 ? name : name.slice(0, end)
      const list = groups.get(group)
      if (list) list.push(index)
      else groups.set(group, [index])
    }
    const nodes = Array.from(groups, ([group, indices]) => this.#node(group, start, indices))
    this.#children.set(path, nodes)
    return nodes
  }

  #node(group: string, start: number, members: readonly number[]): Node {
    const first = members[0] ?? 0
    const name = this.#table.names[first] ?? ''
    // One tensor: the whole rest of its name in one row.
    if (members.length === 1) return this.#leaf(first, name.slice(start))
    const path = this.#longest(group, members)
    let parameters = 0
    let bytes = 0
    for (const index of members) {
      parameters += this.#parametersOf(index)
      bytes += this.#table.bytes[index] ?? 0
    }
    return { path, label: path.slice(start), tensor: null, members, parameters, bytes }
  }

  /** The longest module that still holds all of the members: `model` → `model.layers`. */
  #longest(group: string, members: readonly number[]): string {
    const name = this.#table.names[members[0] ?? 0] ?? ''
    let path = group
    for (;;) {
      const end = name.indexOf('.', path.length + 1)
      if (end < 0) return path
      const longer = name.slice(0, end)
      const isShared = members.every((index) => this.#table.names[index]?.startsWith(`${longer}.`))
      if (!isShared) return path
      path = longer
    }
  }

  #leaf(index: number, label: string): Node {
    return {
      path: this.#table.names[index] ?? '',
      label,
      tensor: index,
      members: [index],
      parameters: this.#parametersOf(index),
      bytes: this.#table.bytes[index] ?? 0,
    }
  }

  #parametersOf(index: number): number {
    const shape = this.#table.shapes[this.#table.shapeOf[index] ?? -1] ?? []
    return shape.reduce((product, size) => product * size, 1)
  }
}

function rowOf(
  node: Node,
  depth: number,
  isExpanded: boolean,
  position: number,
  siblings: number,
): TensorRow {
  const { path, label, tensor, members, parameters, bytes } = node
  return {
    path,
    label,
    depth,
    tensor,
    isExpanded,
    tensors: members.length,
    parameters,
    bytes,
    position,
    siblings,
  }
}
