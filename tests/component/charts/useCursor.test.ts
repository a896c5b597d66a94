import { describe, expect, it } from 'vitest'
import { nearestTo, useCursor } from '../../../src/renderer/src/charts/useCursor'

function setUp(options: Partial<Parameters<typeof useCursor>[0]> = {}) {
  const cursor = useCursor({
    count: () => 5,
    nearest: (x) => (x < 100 ? Math.floor(x / 20) : null),
    ...options,
  })
  const press = (key: string, modifiers: KeyboardEventInit = {}): boolean => {
    const event = new KeyboardEvent('keydown', { key, cancelable: true, ...modifiers })
    cursor.listeners.keydown(event)
    return event.defaultPrevented
  }
  const read = (...keys: string[]): (number | null)[] =>
    keys.map((key) => {
      press(key)
      return cursor.index.value
    })
  return { cursor, press, read }
}

describe('the keyboard', () => {
  it('goes from point to point and stops at the ends', () => {
    const { read } = setUp()
    expect(read('ArrowRight', 'ArrowRight', 'ArrowLeft', 'ArrowLeft')).toEqual([0, 1, 0, 0])
    expect(read('End', 'ArrowRight', 'Home')).toEqual([4, 4, 0])
  })

  it('begins at the end it comes from, and leaves', () => {
    const { read } = setUp()
    expect(read('ArrowLeft', 'Escape', 'ArrowRight')).toEqual([4, null, 0])
  })

  it('takes a twentieth of many points with a page, and a stride with an arrow', () => {
    const { read } = setUp({ count: () => 201, stride: () => 4 })
    expect(read('ArrowRight', 'ArrowRight', 'PageDown', 'PageDown', 'PageUp')).toEqual([
      0, 4, 14, 24, 14,
    ])
  })

  it('goes up and down where the points stand below each other', () => {
    const { read } = setUp({ isVertical: true })
    expect(read('ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowRight')).toEqual([0, 1, 0, 0])
  })

  it('keeps the keys that it uses from scrolling, and no others', () => {
    const { press } = setUp()
    expect(press('ArrowRight')).toBe(true)
    expect(press('ArrowDown')).toBe(false)
    expect(press('Tab')).toBe(false)
    expect(press('ArrowLeft', { altKey: true })).toBe(false)
  })

  it('has nowhere to go without points', () => {
    const { cursor, press } = setUp({ count: () => 0 })
    expect(press('ArrowRight')).toBe(false)
    expect(cursor.index.value).toBeNull()
  })
})

describe('the pointer', () => {
  function setUpElement(options: Partial<Parameters<typeof useCursor>[0]> = {}) {
    const { cursor, read } = setUp(options)
    const element = document.createElement('div')
    element.getBoundingClientRect = () => new DOMRect(300, 50, 120, 80)
    element.addEventListener('pointermove', cursor.listeners.pointermove)
    const move = (clientX: number, clientY = 60): number | null => {
      element.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY }))
      return cursor.index.value
    }
    return { cursor, read, move }
  }

  it('reads the nearest point by its place in the element, and none where none is near', () => {
    const { move } = setUpElement()
    expect(move(345)).toBe(2)
    expect(move(410)).toBeNull()
  })

  it('leaves', () => {
    const { cursor, move } = setUpElement()
    move(345)
    cursor.listeners.pointerleave()
    expect(cursor.index.value).toBeNull()
  })

  it('is where the keyboard goes on from', () => {
    const { move, read } = setUpElement()
    move(345)
    expect(read('ArrowRight')).toEqual([3])
  })
})

it('reads nothing that is not there any more', () => {
  let points = 5
  const { cursor, read } = setUp({ count: () => points })
  read('End')
  expect(cursor.index.value).toBe(4)
  points = 3
  // A chart's count is reactive; here, asking anew is enough.
  expect(read('ArrowLeft')).toEqual([2])
})

describe('the nearest position', () => {
  it('is found along one axis or two', () => {
    expect(nearestTo({ x: 11 }, [{ x: 0 }, { x: 10 }, { x: 13 }])).toBe(1)
    const corners = [
      { x: 10, y: 90 },
      { x: 30, y: 12 },
    ]
    expect(nearestTo({ x: 10, y: 10 }, corners)).toBe(1)
  })

  it('is none beyond the reach, or where nothing has a place', () => {
    expect(nearestTo({ x: 50, y: 0 }, [{ x: 0, y: 0 }], 24)).toBeNull()
    expect(nearestTo({ x: 0 }, [null, undefined])).toBeNull()
  })
})
