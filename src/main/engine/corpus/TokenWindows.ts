/** Token ids of a text, cut into windows of one length that do not overlap; the rest at the end belongs to none. */
export interface TokenWindows {
  /** Tokens of a window. */
  readonly length: number
  readonly count: number
  /** `[length]`. */
  at(index: number): Promise<Int32Array>
}

/** Windows that are read from files. */
export interface OpenTokenWindows extends TokenWindows {
  /** Closes the files; reading is an error afterwards. */
  close(): Promise<void>
}
