/** The last part of a path of any system. */
export function baseName(path: string): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== '')
  return parts.at(-1) ?? path
}

/** A name that every file system takes, as close to what the person wrote as can be. */
export function folderNameOf(name: string): string {
  const cleaned = name
    // What Windows refuses, of which the others refuse a part.
    // eslint-disable-next-line no-control-regex
    .replace(/[<>:"/\\|?*\u0000-\u001f\u007f]/g, '-')
    .trim()
    .slice(0, 80)
    .replace(/[. ]+$/, '')
    .replace(/^\.+/, '')
  const isReserved = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i.test(cleaned)
  return cleaned === '' ? 'Project' : isReserved ? `_${cleaned}` : cleaned
}

/** {@link folderNameOf} each, numbered where two would be one folder: also on systems that do not tell cases apart. */
export function folderNamesOf(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    const wanted = folderNameOf(name)
    let unique = wanted
    for (let number = 2; taken.has(folded(unique)); number += 1) unique = `${wanted}-${number}`
    taken.add(folded(unique))
    return unique
  })
}

function folded(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
