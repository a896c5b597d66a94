import { onBeforeUnmount, ref, watch, type Ref } from 'vue'

/** The width of an element's content in CSS pixels; 0 while it is not laid out. */
export function useElementWidth(element: Readonly<Ref<Element | null>>): Ref<number> {
  const width = ref(0)
  const observer = new ResizeObserver(([entry]) => {
    if (entry) width.value = Math.floor(entry.contentRect.width)
  })
  watch(
    element,
    (now, before) => {
      if (before) observer.unobserve(before)
      if (now) observer.observe(now)
    },
    { immediate: true, flush: 'post' },
  )
  onBeforeUnmount(() => observer.disconnect())
  return width
}
