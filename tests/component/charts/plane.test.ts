import { describe, expect, it } from 'vitest'
import { layOutPlane, type PlanePoint } from '../../../src/renderer/src/charts/plane'

const size = { width: 400, height: 300 }
const at = (x: number, y: number, label: string): PlanePoint => ({ x, y, label })

describe('points of a plane', () => {
  it('keep their distances: both axes have one scale', () => {
    const [a, b, c] = layOutPlane([at(0, 0, '0'), at(4, 0, '1'), at(0, 3, '2')], size)
    const across = Math.hypot((b?.x ?? 0) - (a?.x ?? 0), (b?.y ?? 0) - (a?.y ?? 0))
    const up = Math.hypot((c?.x ?? 0) - (a?.x ?? 0), (c?.y ?? 0) - (a?.y ?? 0))
    expect(across / up).toBeCloseTo(4 / 3, 10)
    // Up is up.
    expect(c?.y).toBeLessThan(a?.y ?? 0)
  })

  it('lie within the box, with their labels', () => {
    const points = Array.from({ length: 40 }, (_, i) =>
      at(Math.sin(i) * i, Math.cos(i * 1.3) * i, String(i)),
    )
    for (const placed of layOutPlane(points, size)) {
      for (const value of [placed.x, placed.labelX]) {
        expect(value).toBeGreaterThanOrEqual(0)
        expect(value).toBeLessThanOrEqual(size.width)
      }
      for (const value of [placed.y, placed.labelY]) {
        expect(value).toBeGreaterThanOrEqual(0)
        expect(value).toBeLessThanOrEqual(size.height)
      }
    }
  })

  it('are one where they coincide, with both names', () => {
    const placed = layOutPlane([at(0, 0, '7'), at(1, 1, '8'), at(0, 0, '7+')], size)
    expect(placed.map(({ label }) => label)).toEqual(['7, 7+', '8'])
    expect(placed[0]?.members).toEqual([0, 2])
  })

  it('have labels that do not lie on each other, even in a cluster', () => {
    const points = [
      at(0, 0, '0'),
      at(100, 100, '1'),
      ...[0, 1, 2, 3].map((i) => at(50 + i * 0.9, 50 - i * 0.9, `${i}½`)),
    ]
    const placed = layOutPlane(points, size)
    for (const [index, one] of placed.entries()) {
      for (const other of placed.slice(index + 1)) {
        const isClear =
          Math.abs(one.labelX - other.labelX) >=
            ((one.label.length + other.label.length) * 7) / 2 ||
          Math.abs(one.labelY - other.labelY) >= 14
        expect(isClear, `${one.label} and ${other.label}`).toBe(true)
      }
    }
  })

  it('go without a label rather than with one that lies on another', () => {
    const points = [
      at(0, 0, '0'),
      at(100, 100, '1'),
      ...Array.from({ length: 24 }, (_, i) => at(50 + i * 0.9, 50 - i * 0.9, `${i}½`)),
    ]
    const labelled = layOutPlane(points, size).filter(({ label }) => label !== '')
    expect(labelled.length).toBeGreaterThan(8)
    for (const [index, one] of labelled.entries()) {
      for (const other of labelled.slice(index + 1)) {
        const isClear =
          Math.abs(one.labelX - other.labelX) >=
            ((one.label.length + other.label.length) * 7) / 2 ||
          Math.abs(one.labelY - other.labelY) >= 14
        expect(isClear, `${one.label} and ${other.label}`).toBe(true)
      }
    }
  })

  it('stand in the middle when there is nothing to set them apart', () => {
    expect(layOutPlane([at(2, 2, 'a'), at(2, 2, 'b')], size)).toMatchObject([
      { x: 200, y: 150, label: 'a, b' },
    ])
  })
})
