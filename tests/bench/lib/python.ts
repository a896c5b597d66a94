import { runProgram } from './measure'

/**
 * A Python with the modules that a reference needs: `LESA_PYTHON`, else the one on the path. `null` when there is none.
 *
 * @throws Error when `LESA_PYTHON` names one that does not have them.
 */
export async function findPython(signal: AbortSignal): Promise<string | null> {
  const named = process.env['LESA_PYTHON']
  const candidates = named ? [named] : ['python3', 'python']
  for (const python of candidates) {
    try {
      await runProgram(python, ['-c', 'import torch, safetensors'], { signal, memory: false })
      return python
    } catch (error) {
      signal.throwIfAborted()
      if (named) {
        throw new Error(`LESA_PYTHON (${named}) has no PyTorch and safetensors.`, { cause: error })
      }
    }
  }
  return null
}

/** Whether a Python has a module. */
export async function hasModule(
  python: string,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await runProgram(python, ['-c', `import ${name}`], { signal, memory: false })
    return true
  } catch {
    signal.throwIfAborted()
    return false
  }
}
