import { describe, expect, test } from 'vitest'
import { keepTrailing, mirrorLower, transposed } from '../../../../src/main/engine/lib/matrix'

/** 0, 1, 2, … in reading order. */
const counting = (size: number): Float32Array => Float32Array.from({ length: size }, (_, i) => i)

describe('matrices on the host', () => {
  test.each([
    [1, 1],
    [3, 3],
    [65, 65],
    [1, 9],
    [40, 33],
  ])('the transpose of [%i, %i]', (rows, columns) => {
    const turned = transposed(counting(rows * columns), rows, columns)
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        expect(turned[column * rows + row]).toBe(row * columns + column)
      }
    }
  })

  test('the lower triangle on both sides', () => {
    const n = 70
    const matrix = counting(n * n)
    mirrorLower(matrix, n)
    for (let row = 0; row < n; row += 1) {
      for (let column = 0; column <= row; column += 1) {
        expect(matrix[row * n + column]).toBe(row * n + column)
        expect(matrix[column * n + row]).toBe(row * n + column)
      }
    }
  })

  test('the last rows and columns, in the same array', () => {
    const matrix = counting(25)
    const rest = keepTrailing(matrix, 5, 2)
    expect([...rest]).toEqual([18, 19, 23, 24])
    expect(rest.buffer).toBe(matrix.buffer)
  })
})
