/** The colour that a CSS expression such as `var(--accent)` has at an element, for a canvas. */
export function resolveColor(host: Element, expression: string): string {
  const probe = document.createElement('span')
  probe.style.color = expression
  host.append(probe)
  const color = getComputedStyle(probe).color
  probe.remove()
  return color
}

/** The same colour, less opaque. */
export function fade(color: string, alpha: number): string {
  const channels = color.match(/[\d.]+/g)?.slice(0, 3)
  return color.startsWith('rgb') && channels?.length === 3
    ? `rgb(${channels.join(' ')} / ${alpha})`
    : color
}
