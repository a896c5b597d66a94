/** A point of a picture whose axes have the same unit. */
export interface PlanePoint {
  readonly x: number
  readonly y: number
  readonly label: string
}

export interface PlacedPoint {
  /** Indices of the points that lie here. */
  readonly members: readonly number[]
  readonly label: string
  /** Pixels. */
  readonly x: number
  readonly y: number
  /** Where the label's middle goes. */
  readonly labelX: number
  readonly labelY: number
}

interface Size {
  readonly width: number
  readonly height: number
}

const MARGIN = 34
/** Pixels of a label's letter and line. */
const LETTER = 7
const LINE = 14
const OFFSET = 18
/** Directions and distances in which a label is tried. */
const TURNS = 12
const DISTANCES = [OFFSET, 31, 45, 60] as const
/** Closer than this, in pixels, points are one. */
const SAME = 0.75

/**
 * Lays points out in a box with one scale for both axes (distances mean something), joins those that coincide, and puts
 * each label where it covers least.
 */
export function layOutPlane(points: readonly PlanePoint[], size: Size): PlacedPoint[] {
  const at = fit(points, size)
  const groups: { members: number[]; x: number; y: number }[] = []
  at.forEach(({ x, y }, index) => {
    const known = groups.find((group) => Math.hypot(group.x - x, group.y - y) < SAME)
    if (known) known.members.push(index)
    else groups.push({ members: [index], x, y })
  })
  const placed: PlacedPoint[] = []
  for (const [index, group] of groups.entries()) {
    const label = group.members.map((member) => points[member]?.label ?? '').join(', ')
    const box = { width: label.length * LETTER, height: LINE }
    const [before, after] = [groups[index - 1], groups[index + 1]]
    let best = { x: group.x, y: group.y - OFFSET, cost: Infinity }
    for (let place = 0; place < TURNS * DISTANCES.length; place += 1) {
      const angle = ((place % TURNS) / TURNS) * 2 * Math.PI - Math.PI / 2
      const distance = DISTANCES[Math.floor(place / TURNS)] ?? OFFSET
      const reach = distance + (Math.abs(Math.cos(angle)) * (box.width - LETTER)) / 2
      const x = group.x + Math.cos(angle) * reach
      const y = group.y + Math.sin(angle) * distance
      const cost =
        8 * outside(x, y, box, size) +
        4 * sum(groups, (other) => (other === group ? 0 : covers(x, y, box, other))) +
        3 * sum(placed, (other) => overlap(x, y, box, other)) +
        // Away from the line that goes through the point.
        sum([before, after], (other) => (other ? towards(angle, group, other) : 0)) +
        // Near before far.
        distance / 30
      if (cost < best.cost) best = { x, y, cost }
    }
    placed.push({ ...group, label, labelX: best.x, labelY: best.y })
  }
  return placed
}

/** Pixel positions: centred, both axes with the same scale, y upwards. */
function fit(points: readonly PlanePoint[], { width, height }: Size): { x: number; y: number }[] {
  const xs = points.map(({ x }) => x)
  const ys = points.map(({ y }) => y)
  const [left, right] = [Math.min(...xs), Math.max(...xs)]
  const [bottom, top] = [Math.min(...ys), Math.max(...ys)]
  const scale = Math.min(
    (width - 2 * MARGIN) / (right - left || Number.MIN_VALUE),
    (height - 2 * MARGIN) / (top - bottom || Number.MIN_VALUE),
  )
  const finite = Number.isFinite(scale) && scale < 1e300 ? scale : 0
  return points.map(({ x, y }) => ({
    x: width / 2 + (x - (left + right) / 2) * finite,
    y: height / 2 - (y - (bottom + top) / 2) * finite,
  }))
}

function outside(x: number, y: number, box: Size, size: Size): number {
  return x - box.width / 2 < 2 ||
    x + box.width / 2 > size.width - 2 ||
    y - box.height / 2 < 2 ||
    y + box.height / 2 > size.height - 2
    ? 1
    : 0
}

function covers(x: number, y: number, box: Size, point: { x: number; y: number }): number {
  const dx = Math.max(0, Math.abs(point.x - x) - box.width / 2)
  const dy = Math.max(0, Math.abs(point.y - y) - box.height / 2)
  return Math.hypot(dx, dy) < 7 ? 1 : 0
}

function overlap(x: number, y: number, box: Size, other: PlacedPoint): number {
  const width = other.label.length * LETTER
  return Math.abs(other.labelX - x) < (width + box.width) / 2 && Math.abs(other.labelY - y) < LINE
    ? 1
    : 0
}

function towards(
  angle: number,
  from: { x: number; y: number },
  to: { x: number; y: number },
): number {
  return Math.max(0, Math.cos(angle - Math.atan2(to.y - from.y, to.x - from.x)))
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
