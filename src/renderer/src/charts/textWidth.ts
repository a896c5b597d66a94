/** Of the pictures' font, a letter's mean width over its size; a little too much, so that text is rather cut than lost. */
const MEAN_LETTER = 0.58

let context: CanvasRenderingContext2D | null | undefined

/** Pixels that a line of text takes in the window's font. */
export function textWidth(text: string, size: number, weight = 400): number {
  context ??= document.createElement('canvas').getContext('2d')
  if (!context) return text.length * size * MEAN_LETTER
  context.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`
  return context.measureText(text).width
}

/** The text, or as much of it as fits, with an ellipsis. */
export function clipText(text: string, width: number, size: number, weight = 400): string {
  if (textWidth(text, size, weight) <= width) return text
  const letters = [...text]
  let [fits, tooMany] = [0, letters.length]
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1
    if (textWidth(`${letters.slice(0, middle).join('')}…`, size, weight) <= width) fits = middle
    else tooMany = middle
  }
  return `${letters.slice(0, fits).join('').trimEnd()}…`
}
