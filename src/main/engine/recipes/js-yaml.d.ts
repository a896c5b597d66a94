declare module 'js-yaml' {
  interface YamlState {
    /** From 0. */
    readonly line: number
    /** At the close of a node: its value. */
    readonly result: unknown
  }
  interface YamlOptions {
    /** Called before and after every node. */
    readonly listener?: (event: 'open' | 'close', state: YamlState) => void
  }
  /** What a text that is no YAML is refused with; its place counts from 0. */
  interface YAMLException extends Error {
    readonly reason: string
    readonly mark?: { readonly line: number }
  }
  /** `load` gives the value of a document, by YAML 1.2's core rules. */
  const yaml: {
    load(text: string, options?: YamlOptions): unknown
    readonly YAMLException: new (reason: string) => YAMLException
  }
  export default yaml
}
