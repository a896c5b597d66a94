import type { ModelIdentity } from '@shared/model'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { identityOf } from '../checkpoint/identity'

/** {@link identityOf} of a folder. @throws AppError what opening the checkpoint throws. */
export async function identifyModel(folder: string): Promise<ModelIdentity> {
  const checkpoint = await Checkpoint.open(folder)
  try {
    return await identityOf(checkpoint)
  } finally {
    await checkpoint.close()
  }
}

/** {@link Checkpoint.fingerprint} of a folder. */
export async function fingerprintOf(folder: string): Promise<string> {
  const checkpoint = await Checkpoint.open(folder)
  try {
    return await checkpoint.fingerprint()
  } finally {
    await checkpoint.close()
  }
}
