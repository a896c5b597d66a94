/** The types that layers are of, the most frequent first; of equally frequent ones the earlier. */
export function typeNames(types: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a).map(([type]) => type)
}

/** Of each layer the number of its type in {@link typeNames}. */
export function typeKinds(types: readonly string[]): number[] {
  const names = typeNames(types)
  return types.map((type) => names.indexOf(type))
}
