import UPlot, { type AlignedData, type Options } from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { onBeforeUnmount, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

/** Everything about a plot but its size and data. */
export type PlotOptions = Omit<Options, 'width' | 'height'>

interface UseUplot {
  readonly host: Readonly<Ref<HTMLElement | null>>
  /** CSS pixels; nothing is drawn while the width is 0. */
  readonly width: Readonly<Ref<number>>
  readonly height: Readonly<Ref<number>>
  /** A change builds the plot anew. */
  readonly options: Readonly<Ref<PlotOptions | null>>
  /** A change is drawn in the next frame. */
  readonly data: Readonly<Ref<AlignedData>>
}

/** Keeps a uPlot in an element: as wide as it, drawn once per frame however often the data change. */
export function useUplot({
  host,
  width,
  height,
  options,
  data,
}: UseUplot): ShallowRef<UPlot | null> {
  const plot = shallowRef<UPlot | null>(null)
  let frame = 0

  function fits({ series }: Pick<PlotOptions, 'series'>): boolean {
    return series.length === data.value.length
  }

  function destroy(): void {
    cancelAnimationFrame(frame)
    frame = 0
    plot.value?.destroy()
    plot.value = null
  }

  watch(
    [options, () => width.value > 0, host],
    ([chosen, isLaidOut, element]) => {
      destroy()
      if (!chosen || !isLaidOut || !element) return
      plot.value = new UPlot(
        { ...chosen, width: width.value, height: height.value },
        // Data that lag behind other options come as soon as they are there.
        fits(chosen) ? data.value : undefined,
        element,
      )
    },
    { immediate: true, flush: 'post' },
  )
  watch([width, height], ([w, h]) => {
    if (w > 0) plot.value?.setSize({ width: w, height: h })
  })
  watch(data, () => {
    if (frame !== 0) return
    frame = requestAnimationFrame(() => {
      frame = 0
      const now = plot.value
      // Options that are about to be replaced do not fit the new data.
      if (now && fits(now)) now.setData(data.value)
    })
  })
  onBeforeUnmount(destroy)
  return plot
}
