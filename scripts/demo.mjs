/** @file `npm run demo`: grows the bundled model with five methods and compares them; see src/main/cli/demo.ts. */
process.argv.splice(2, 0, 'demo')
await import('./lesa.mjs')
