declare module 'js-yaml' {
  /** The value of a document, by YAML 1.2's core rules. */
  const yaml: { load(text: string): unknown }
  export default yaml
}
