import { readFileSync } from 'node:fs'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

export const MIN_SIZE = { width: 880, height: 600 } as const
const DEFAULT_SIZE = { width: 1280, height: 860 } as const

/** How much of the window has to be on a screen for a person to get hold of it. */
const VISIBLE = { width: 200, height: 100 } as const

export interface Bounds {
  readonly x?: number
  readonly y?: number
  readonly width: number
  readonly height: number
}

export interface WindowState extends Bounds {
  readonly maximized: boolean
}

interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const stateSchema = z.object({
  x: z.int().optional(),
  y: z.int().optional(),
  width: z.int(),
  height: z.int(),
  maximized: z.boolean(),
})

/**
 * Where the window was, made sane: not smaller than its minimum, not larger than the screen it is on, and on one that
 * is still there.
 *
 * @param file May be missing or broken: the window then has its default size, wherever the system puts it.
 * @param screens The work areas, the main one first.
 */
export function readWindowState(file: string, screens: readonly Rectangle[]): WindowState {
  let saved: z.infer<typeof stateSchema>
  try {
    saved = stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return { ...fit(DEFAULT_SIZE, screens[0]), maximized: false }
  }
  const { x, y, width, height, maximized } = saved
  if (x === undefined || y === undefined) {
    return { ...fit({ width, height }, screens[0]), maximized }
  }
  const screen = screens.find((area) => isReachable({ x, y, width, height }, area))
  if (!screen) return { ...fit({ width, height }, screens[0]), maximized }
  return { x, y, ...fit({ width, height }, screen), maximized }
}

/** Keeps where the window is. A disk that cannot be written is no reason to disturb anybody. */
export function writeWindowState(file: string, state: WindowState): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(`${file}.new`, JSON.stringify(state))
    renameSync(`${file}.new`, file)
  } catch {
    // The window opens at its default size next time.
  }
}

function fit(
  { width, height }: { width: number; height: number },
  area: Rectangle | undefined,
): { width: number; height: number } {
  const clamp = (value: number, low: number, high: number): number =>
    Math.max(low, Math.min(value, high))
  return {
    width: clamp(width, MIN_SIZE.width, area?.width ?? width),
    height: clamp(height, MIN_SIZE.height, area?.height ?? height),
  }
}

/** The title bar is at the top: that part has to be on the screen. */
function isReachable(bounds: Rectangle, area: Rectangle): boolean {
  const across = Math.min(bounds.x + bounds.width, area.x + area.width) - Math.max(bounds.x, area.x)
  return (
    across >= VISIBLE.width &&
    bounds.y >= area.y &&
    bounds.y + VISIBLE.height <= area.y + area.height
  )
}
