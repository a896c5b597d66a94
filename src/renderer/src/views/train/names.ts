/** What the engine says of a model by its run, with what people call it. */
export function withNames(text: string, names: ReadonlyMap<string, string>): string {
  for (const [run, name] of names) {
    if (new RegExp(`^${run}(?![\\w-])`).test(text)) return `${name}${text.slice(run.length)}`
  }
  return text
}
