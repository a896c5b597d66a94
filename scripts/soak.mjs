/**
 * @file `npm run soak -- [KIND …] [--count N] [--seed S] [--limit SECONDS]`: tries to make the program lose or damage
 * something, in the ways that docs/reliability.md describes. One line of JSON for each kind; the exit code is 1 when
 * anything went wrong.
 */
import { loadBundled } from './lib/bundle.mjs'
import { root } from './lib/setup.mjs'

const { run } = await loadBundled('soak', {
  run: 'tests/soak/run.ts',
  tokenizer: 'src/main/engine/evaluation/tokenizerProcess.ts',
})
process.exit(await run.runSoak(process.argv.slice(2), root))
