/** @file Row-major float32 matrices on the host. */

/** Side of the square tiles in which matrices are turned: two of them stay in the processor's first cache. */
const TILE = 32

/** The transpose `[columns, rows]` of a matrix `[rows, columns]`; a square one is turned in place. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  if (rows === columns) {
    transposeSquare(matrix, rows)
    return matrix
  }
  const result = new Float32Array(matrix.length)
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(top + TILE, rows)
    for (let left = 0; left < columns; left += TILE) {
      const right = Math.min(left + TILE, columns)
      for (let row = top; row < bottom; row += 1) {
        for (let column = left; column < right; column += 1) {
          result[column * rows + row] = matrix[row * columns + column]!
        }
      }
    }
  }
  return result
}

function transposeSquare(matrix: Float32Array, n: number): void {
  belowDiagonal(n, (row, left, right) => {
    for (let column = left; column < right; column += 1) {
      const value = matrix[row * n + column]!
      matrix[row * n + column] = matrix[column * n + row]!
      matrix[column * n + row] = value
    }
  })
}

/** Copies the lower triangle of a square matrix to the upper one. */
export function mirrorLower(matrix: Float32Array, n: number): void {
  belowDiagonal(n, (row, left, right) => {
    for (let column = left; column < right; column += 1) {
      matrix[column * n + row] = matrix[row * n + column]!
    }
  })
}

/** Visits what lies below the diagonal of an `[n, n]` matrix, tile by tile: columns `left … right − 1` of a row. */
function belowDiagonal(n: number, visit: (row: number, left: number, right: number) => void): void {
  for (let top = 0; top < n; top += TILE) {
    const bottom = Math.min(top + TILE, n)
    for (let left = 0; left <= top; left += TILE) {
      for (let row = top; row < bottom; row += 1) visit(row, left, Math.min(left + TILE, row))
    }
  }
}

/** Moves the last `kept` rows and columns of an `[n, n]` matrix to its array's start, where they lie as `[kept, kept]`. */
export function keepTrailing(matrix: Float32Array, n: number, kept: number): Float32Array {
  const dropped = n - kept
  for (let row = 0; row < kept; row += 1) {
    const from = (row + dropped) * n + dropped
    // Rows move towards the start, so none is overwritten before it has moved.
    matrix.copyWithin(row * kept, from, from + kept)
  }
  return matrix.subarray(0, kept * kept)
}

/** The bytes of an array, not a copy. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Float32 values of bytes as {@link bytesOf} gives them, copied, since the bytes may lie anywhere. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const floats = new Float32Array(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT)
  bytesOf(floats).set(bytes)
  return floats
}
