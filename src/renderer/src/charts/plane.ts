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

/** The part of the plane that is looked at, in the points' unit. */
export interface PlaneExtent {
  readonly left: number
  readonly right: number
  readonly bottom: number
  readonly top: number
}

/** Between the points' unit and pixels; both axes have one scale, and y goes up. */
export interface PlaneView {
  readonly toPixels: (point: Pick<PlanePoint, 'x' | 'y'>) => { x: number; y: number }
  readonly toPlane: (pixel: { readonly x: number; readonly y: number }) => { x: number; y: number }
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

/** What holds all points. */
export function extentOf(points: readonly PlanePoint[]): PlaneExtent {
  const xs = points.map(({ x }) => x)
  const ys = points.map(({ y }) => y)
  return {
    left: Math.min(...xs),
    right: Math.max(...xs),
    bottom: Math.min(...ys),
    top: Math.max(...ys),
  }
}

/** Shows an extent in the middle of a box, with room for labels around it. */
export function viewPlane(extent: PlaneExtent, { width, height }: Size): PlaneView {
  const { left, right, bottom, top } = extent
  const scale = Math.min(
    (width - 2 * MARGIN) / (right - left || Number.MIN_VALUE),
    (height - 2 * MARGIN) / (top - bottom || Number.MIN_VALUE),
  )
  const finite = Number.isFinite(scale) && scale < 1e300 ? scale : 0
  const [midX, midY] = [(left + right) / 2, (bottom + top) / 2]
  return {
    toPixels: ({ x, y }) => ({
      x: width / 2 + (x - midX) * finite,
      y: height / 2 - (y - midY) * finite,
    }),
    toPlane: ({ x, y }) => ({
      x: midX + (finite > 0 ? (x - width / 2) / finite : 0),
      y: midY - (finite > 0 ? (y - height / 2) / finite : 0),
    }),
  }
}

interface LayOut {
  /** What is looked at; everything by default. */
  readonly extent?: PlaneExtent
  /** Whether a point has its label beside it; all have by default. */
  readonly isLabelled?: (index: number) => boolean
}

/**
 * Lays points out in a box with one scale for both axes (distances mean something), joins those that coincide, and puts
 * each label where it covers least. Points outside of what is looked at are left out.
 */
export function layOutPlane(
  points: readonly PlanePoint[],
  size: Size,
  { extent = extentOf(points), isLabelled = () => true }: LayOut = {},
): PlacedPoint[] {
  const view = viewPlane(extent, size)
  const groups: { members: number[]; x: number; y: number }[] = []
  points.map(view.toPixels).forEach(({ x, y }, index) => {
    if (x < 0 || y < 0 || x > size.width || y > size.height) return
    const known = groups.find((group) => Math.hypot(group.x - x, group.y - y) < SAME)
    if (known) known.members.push(index)
    else groups.push({ members: [index], x, y })
  })
  const placed: PlacedPoint[] = []
  for (const [index, group] of groups.entries()) {
    const label = group.members
      .filter(isLabelled)
      .map((member) => points[member]?.label ?? '')
      .join(', ')
    if (label === '') {
      placed.push({ ...group, label, labelX: group.x, labelY: group.y })
      continue
    }
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
        3 * sum(placed, (other) => (other.label === '' ? 0 : overlap(x, y, box, other))) +
        // Away from the line that goes through the point.
        sum([before, after], (other) => (other ? towards(angle, group, other) : 0)) +
        // Near before far.
        distance / 30
      if (cost < best.cost) best = { x, y, cost }
    }
    // Two labels on one spot cannot be read; a point without one tells its name when it is pointed at.
    const isFree = !placed.some(
      (other) => other.label !== '' && overlap(best.x, best.y, box, other),
    )
    if (isFree) placed.push({ ...group, label, labelX: best.x, labelY: best.y })
    else placed.push({ ...group, label: '', labelX: group.x, labelY: group.y })
  }
  return placed
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
