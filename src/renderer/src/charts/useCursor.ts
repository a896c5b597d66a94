import { computed, ref, type ComputedRef } from 'vue'

/** The point of a chart that is read: the pointer takes the nearest, the keyboard goes from one to the next. */
export interface Cursor {
  readonly index: ComputedRef<number | null>
  /** For the element around the picture. */
  readonly listeners: {
    readonly keydown: (event: KeyboardEvent) => void
    readonly pointermove: (event: PointerEvent) => void
    readonly pointerleave: () => void
    readonly blur: () => void
  }
}

interface UseCursor {
  readonly count: () => number
  /** Index of the point that the pointer means, by its place in the element in pixels; `null` when none is near. */
  readonly nearest: (x: number, y: number) => number | null
  /** Points that an arrow key passes where they are too many for single steps. */
  readonly stride?: () => number
  /** The arrow keys up and down go from point to point, instead of left and right. */
  readonly isVertical?: boolean
}

export function useCursor({ count, nearest, stride, isVertical = false }: UseCursor): Cursor {
  const chosen = ref<number | null>(null)
  const [previous, next] = isVertical ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight']
  /** A chart may lose points while one of them is read. */
  const index = computed(() =>
    chosen.value !== null && chosen.value < count() ? chosen.value : null,
  )

  function leave(): void {
    chosen.value = null
  }

  function keydown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === 'Escape') leave()
    const last = count() - 1
    const now = index.value
    const arrow = stride?.() ?? 1
    const page = Math.max(arrow, Math.round(last / 20))
    const to = {
      [next]: now === null ? 0 : now + arrow,
      [previous]: now === null ? last : now - arrow,
      PageDown: (now ?? 0) + page,
      PageUp: (now ?? 0) - page,
      Home: 0,
      End: last,
    }[event.key]
    if (to === undefined || last < 0) return
    event.preventDefault()
    chosen.value = Math.min(last, Math.max(0, to))
  }

  function pointermove(event: PointerEvent): void {
    if (!(event.currentTarget instanceof Element)) return
    const { left, top } = event.currentTarget.getBoundingClientRect()
    chosen.value = nearest(event.clientX - left, event.clientY - top)
  }

  return { index, listeners: { keydown, pointermove, pointerleave: leave, blur: leave } }
}

/** Index of the position, in pixels, that is nearest to a place and less than `within` away. */
export function nearestTo(
  place: { readonly x: number; readonly y?: number },
  positions: Iterable<{ readonly x: number; readonly y?: number } | null | undefined>,
  within = Infinity,
): number | null {
  let best: number | null = null
  let index = 0
  for (const position of positions) {
    const distance = position
      ? Math.hypot(position.x - place.x, (position.y ?? 0) - (place.y ?? 0))
      : Infinity
    if (distance < within) [best, within] = [index, distance]
    index += 1
  }
  return best
}
