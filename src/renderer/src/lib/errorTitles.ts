import type { ErrorCode } from '@shared/errors'

/** What failed, in a few words; the error's own message says why. */
export const ERROR_TITLES: Readonly<Record<ErrorCode, string>> = {
  bad_checkpoint: 'The checkpoint cannot be read',
  bad_request: 'This cannot be done',
  bad_tokenizer: 'The tokenizer cannot be read',
  damaged_file: 'A file is damaged',
  device_lost: 'The device was lost',
  device_unavailable: 'The device cannot be used',
  disconnected: 'No connection to the program',
  engine_crashed: 'The engine stopped',
  in_use: 'It is in use',
  model_missing: 'The model has moved',
  not_enough_disk: 'Not enough disk space',
  not_enough_memory: 'Not enough memory',
  not_found: 'Not found',
  numeric_failure: 'The numbers went wrong',
  output_exists: 'The output folder exists',
  path_denied: 'This folder cannot be used',
  shape_mismatch: 'The tensors do not fit together',
  system_failed: 'The system refused',
  training_diverged: 'The training diverged',
  unsupported_architecture: 'Not possible with this architecture',
  unsupported_dtype: 'This element type is not supported',
  unsupported_version: 'It was made by a newer version',
  write_failed: 'The output could not be written',
  bug: 'A defect of the program',
}
