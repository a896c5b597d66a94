/** @file The linear assignment problem, after Jonker and Volgenant (Computing 38, 1987). */

/** Rounds of augmenting row reduction; more find little. */
const ROUNDS = 2

/**
 * A column for each row, every column once, so that the sum of costs is least. O(n³) in the worst case; column and row
 * reduction leave few rows for the shortest augmenting paths where costs tell the columns apart.
 *
 * @param cost `[n, n]`, row-major; prices are kept in float64.
 * @param onProgress Called with the share that is done, between rows; may throw to stop.
 */
export async function assign(
  cost: Float32Array,
  n: number,
  onProgress: (done: number) => void | Promise<void> = () => undefined,
): Promise<Int32Array> {
  const columnOf = new Int32Array(n).fill(-1)
  const rowOf = new Int32Array(n).fill(-1)
  const price = new Float64Array(n)
  let free = reduceColumns(cost, n, columnOf, rowOf, price)
  for (let round = 0; round < ROUNDS && n > 1; round += 1) {
    free = reduceRows(cost, n, free, columnOf, rowOf, price)
  }
  const paths = new Paths(cost, n, columnOf, rowOf, price)
  for (const [index, row] of free.entries()) {
    if (index % 16 === 0) await onProgress(index / free.length)
    paths.augment(row)
  }
  await onProgress(1)
  return columnOf
}

/** Every column's least cost is its price, and goes to that row if it is free; returns the rows that stay so. */
function reduceColumns(
  cost: Float32Array,
  n: number,
  columnOf: Int32Array,
  rowOf: Int32Array,
  price: Float64Array,
): Int32Array {
  const least = new Int32Array(n)
  price.fill(Infinity)
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < n; j += 1) {
      const value = cost[i * n + j]!
      if (value < price[j]!) {
        price[j] = value
        least[j] = i
      }
    }
  }
  const wanted = new Int32Array(n)
  for (let j = n - 1; j >= 0; j -= 1) {
    const i = least[j]!
    wanted[i]! += 1
    if (wanted[i] === 1) {
      columnOf[i] = j
      rowOf[j] = i
    }
  }
  // What a row that took its only wish could pay more for it, it pays.
  for (let i = 0; i < n; i += 1) {
    if (wanted[i] !== 1) continue
    const own = columnOf[i]!
    let margin = Infinity
    for (let j = 0; j < n; j += 1) {
      if (j !== own) margin = Math.min(margin, cost[i * n + j]! - price[j]!)
    }
    if (Number.isFinite(margin)) price[own]! -= margin
  }
  return Int32Array.from(wanted.keys()).filter((i) => wanted[i] === 0)
}

/** Each free row takes its cheapest column, at the price of the second cheapest, and whoever had it is free instead. */
function reduceRows(
  cost: Float32Array,
  n: number,
  free: Int32Array,
  columnOf: Int32Array,
  rowOf: Int32Array,
  price: Float64Array,
): Int32Array {
  const left: number[] = []
  const stack = [...free].reverse()
  // Rounding could hand columns round for ever; what is left is found by paths.
  let turns = 20 * n
  while (stack.length > 0) {
    const i = stack.pop()!
    if (turns === 0) {
      left.push(i)
      continue
    }
    turns -= 1
    let [first, second] = [Infinity, Infinity]
    let [j1, j2] = [-1, -1]
    for (let j = 0; j < n; j += 1) {
      const value = cost[i * n + j]! - price[j]!
      if (value < second) {
        if (value < first) {
          second = first
          j2 = j1
          first = value
          j1 = j
        } else {
          second = value
          j2 = j
        }
      }
    }
    const isCheaper = first < second
    if (isCheaper) price[j1]! -= second - first
    else if (rowOf[j1]! >= 0) j1 = j2
    const before = rowOf[j1]!
    columnOf[i] = j1
    rowOf[j1] = i
    if (before < 0) continue
    columnOf[before] = -1
    if (isCheaper) stack.push(before)
    else left.push(before)
  }
  return Int32Array.from(left)
}

/** Shortest augmenting paths over reduced costs. */
class Paths {
  private readonly distance: Float64Array
  private readonly from: Int32Array
  private readonly columns: Int32Array

  constructor(
    private readonly cost: Float32Array,
    private readonly n: number,
    private readonly columnOf: Int32Array,
    private readonly rowOf: Int32Array,
    private readonly price: Float64Array,
  ) {
    this.distance = new Float64Array(n)
    this.from = new Int32Array(n)
    this.columns = Int32Array.from({ length: n }, (_, j) => j)
  }

  /** Gives the row a column, and others another. */
  augment(start: number): void {
    const { cost, n, price, distance, from, columns, rowOf, columnOf } = this
    for (let j = 0; j < n; j += 1) {
      distance[j] = cost[start * n + j]! - price[j]!
      from[j] = start
    }
    // Columns before `low` are settled, those before `high` are at the least distance.
    let [low, high, settled] = [0, 0, 0]
    let least = 0
    let end = -1
    while (end < 0) {
      if (low === high) {
        settled = low
        least = Infinity
        for (let k = low; k < n; k += 1) {
          const j = columns[k]!
          if (distance[j]! > least) continue
          if (distance[j]! < least) {
            least = distance[j]!
            high = low
          }
          columns[k] = columns[high]!
          columns[high] = j
          high += 1
        }
        for (let k = low; k < high && end < 0; k += 1)
          if (rowOf[columns[k]!]! < 0) end = columns[k]!
      }
      if (end >= 0) break
      const j1 = columns[low]!
      low += 1
      const i = rowOf[j1]!
      const offset = cost[i * n + j1]! - price[j1]! - least
      for (let k = high; k < n; k += 1) {
        const j = columns[k]!
        const value = cost[i * n + j]! - price[j]! - offset
        if (value >= distance[j]!) continue
        distance[j] = value
        from[j] = i
        if (value > least) continue
        if (rowOf[j]! < 0) {
          end = j
          break
        }
        columns[k] = columns[high]!
        columns[high] = j
        high += 1
      }
    }
    for (let k = 0; k < settled; k += 1) {
      const j = columns[k]!
      price[j]! += distance[j]! - least
    }
    for (let i = -1; i !== start;) {
      i = from[end]!
      rowOf[end] = i
      const before = columnOf[i]!
      columnOf[i] = end
      end = before
    }
  }
}
