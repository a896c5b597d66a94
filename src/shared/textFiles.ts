/** @file The ends of text files' names, by what a text is chosen for. */

/** To measure perplexity on, or to train on. */
export const TEXT_PURPOSES = ['measure', 'train'] as const
export type TextPurpose = (typeof TEXT_PURPOSES)[number]

/** Without the dot, in lower case. A text to measure on is read as it is, whatever it is. */
export const TEXT_EXTENSIONS: Readonly<Record<TextPurpose, readonly string[]>> = {
  measure: ['txt', 'text', 'md', 'json', 'jsonl', 'csv', 'tsv'],
  train: ['txt', 'jsonl', 'txt.gz', 'jsonl.gz', 'parquet'],
}
