import { Command, CommanderError, Option } from 'commander'
import { GENERATION_DEFAULTS } from '@shared/generation'
import { DEFAULT_METHOD, METHODS } from '@shared/methods'
import { MAX_DEFAULT_CONTEXT, PRETRAIN_DEFAULTS, SCHEDULES, TEXT_ORDERS } from '@shared/pretraining'
import { formatNumber } from '@shared/units'
import { version } from '../../../package.json'
import { DEVICE_CHOICES, DTYPE_CHOICES, SYNTH_DTYPE_CHOICES, SYNTH_PRESET_CHOICES } from './choices'
import type { AssembleOptions } from './commands/assemble'
import type { CompareOptions } from './commands/compare'
import type { EvaluateOptions } from './commands/evaluate'
import type { PlaceOptions } from './commands/place'
import type { RecipesOptions } from './commands/recipes'
import type { SynthOptions } from './commands/synth'
import type { TryOptions } from './commands/try'
import type { ExpandOptions } from './expandSpec'
import type { CliIo, ProgramPaths } from './io'
import { METHOD_FLAGS, type MethodFlag } from './methodFlags'
import type { PretrainOptions } from './pretrainSpec'
import { UsageError } from './usage'
import {
  decimal,
  decimalOr,
  decimals,
  heldOutLayers,
  integer,
  layerRange,
  port,
  size,
} from './values'

/** What a command is called with, beside its own arguments. */
export interface CommandContext {
  readonly io: CliIo
  readonly paths: ProgramPaths
  /** Results as one JSON document on stdout, an error as one on stderr. */
  readonly json: boolean
}

/**
 * The commands with their options. Each command's code is loaded when it runs, so that help is fast.
 *
 * @param setExitCode Takes what a command ends with.
 */
export function buildProgram(
  io: CliIo,
  paths: ProgramPaths,
  setExitCode: (code: number) => void,
): Command {
  const context = (json: boolean | undefined): CommandContext => ({
    io,
    paths,
    json: json ?? false,
  })
  const program = new Command('lesa')
    .description(
      'Grow a trained language model in depth: predict new layers with LESA, compare with other methods, ' +
        'train the new layers, and write a Hugging Face checkpoint.',
    )
    .version(version, '-V, --version')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  lesa inspect resources/demo-model\n' +
        '  lesa expand resources/demo-model --out grown --method lesa --gaps 5-10\n' +
        '  lesa evaluate resources/demo-model grown --text resources/demo-model/eval.txt\n' +
        '  lesa pretrain grown --text resources/demo-texts/manual.txt --out trained --lr 1e-3\n\n' +
        'Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 cancelled with Ctrl-C.',
    )

  program
    .command('inspect')
    .description('show what a checkpoint is')
    .argument('<model>', 'folder of a Hugging Face checkpoint')
    .addOption(jsonOption())
    .action(async (model: string, { json }: { json?: boolean }) => {
      const { inspect } = await import('./commands/inspect')
      setExitCode(await inspect(model, context(json)))
    })

  addExpandOptions(
    program
      .command('expand')
      .description('insert layers and write the grown checkpoint')
      .argument('[model]', 'folder of a Hugging Face checkpoint; only --plan names one as well'),
  ).action(
    async (
      model: string | undefined,
      options: ExpandOptions & { json?: boolean },
      command: Command,
    ) => {
      const { expand } = await import('./commands/expand')
      setExitCode(await expand(model, givenOptions(options, command), context(options.json)))
    },
  )

  program
    .command('assemble')
    .description("write the checkpoint of a job's folder once all its weight types are there")
    .requiredOption('--job <dir>', 'folder that expand --job --only filled')
    .requiredOption('--out <dir>', 'folder for the grown checkpoint')
    .option('--max-shard-size <size>', 'largest safetensors file (default: 5GB)', size)
    .option('--overwrite', 'replace a checkpoint that is there')
    .option('--no-recipes', NO_RECIPES)
    .addOption(jsonOption())
    .action(async (options: AssembleOptions & { json?: boolean }) => {
      const { assemble } = await import('./commands/assemble')
      setExitCode(await assemble(options, context(options.json)))
    })

  program
    .command('evaluate')
    .description('measure the perplexity of one or more checkpoints on a text')
    .argument('<model...>', 'folders of Hugging Face checkpoints')
    .requiredOption('--text <file>', 'UTF-8 text to measure on')
    .option(
      '--context <tokens>',
      "tokens per window (default: the model's own context, at most 2048)",
      integer,
    )
    .option('--per-line', "mean of each line's perplexity instead of the whole text's")
    .option(
      '--base <model>',
      'what the others are compared with token by token: difference, KL, same top token (default: the first, difference only)',
    )
    .addOption(deviceOption())
    .addOption(jsonOption())
    .action(async (models: string[], options: EvaluateOptions & { json?: boolean }) => {
      const { evaluate } = await import('./commands/evaluate')
      setExitCode(await evaluate(models, options, context(options.json)))
    })

  program
    .command('place')
    .description('measure where new layers could go, layer by layer and gap by gap, on a text')
    .argument('<model>', 'folder of a Hugging Face checkpoint')
    .requiredOption(
      '--text <path>',
      'text of the kind that is to be learned: a file or a folder of them',
    )
    .option(
      '--tokens <n>',
      'that slopes are computed on (default: 4 times the MLP size, 4096 at least)',
      integer,
    )
    .option(
      '--context <tokens>',
      "tokens per window (default: the model's own context, at most 512)",
      integer,
    )
    .option(
      '--blocks <n>',
      'run every block of up to so many layers twice (default: single layers)',
      integer,
    )
    .option('--candidate <model...>', 'models grown from this one, whose new layers are scored')
    .option(
      '--count <n>',
      'new layers that places are suggested for (default: half as many)',
      integer,
    )
    .option('--seed <n>', "of the text's shares (default: 0)", integer)
    .addOption(deviceOption())
    .option('--memory <size>', 'bound on host memory, such as 8GB (default: what is free)', size)
    .option('--device-memory <size>', 'memory of a GPU that weights may take to stay there', size)
    .addOption(jsonOption())
    .action(async (model: string, options: PlaceOptions & { json?: boolean }) => {
      const { place } = await import('./commands/place')
      setExitCode(await place(model, options, context(options.json)))
    })

  addTryOptions(
    program
      .command('try')
      .description('continue a text with one or more checkpoints, side by side')
      .argument(
        '<model...>',
        'folders of Hugging Face checkpoints; the others are compared with the first',
      ),
  ).action(async (models: string[], options: TryOptions & { json?: boolean }) => {
    const { tryModels } = await import('./commands/try')
    setExitCode(await tryModels(models, options, context(options.json)))
  })

  addPretrainOptions(
    program
      .command('pretrain')
      .description(
        'continue the pre-training of the new layers of a grown model, or of several to compare their starts',
      )
      .argument(
        '<model...>',
        'folders of grown checkpoints; several are trained on the same batches',
      ),
  ).action(async (models: string[], options: PretrainOptions & { json?: boolean }) => {
    const { pretrain } = await import('./commands/pretrain')
    setExitCode(await pretrain(models, options, context(options.json)))
  })

  program
    .command('compare')
    .description('say what a training elsewhere changed in a grown model, layer by layer')
    .argument('<trained>', 'folder that the training wrote')
    .option(
      '--start <model>',
      'grown checkpoint that it began from (default: found by lesa.json, above or beside the folder)',
    )
    .option('--text <file...>', 'UTF-8 texts that start and trained model are measured on')
    .option('--base <model>', 'measured as well: what both are compared with token by token')
    .option(
      '--context <tokens>',
      "tokens per window (default: the model's own context, at most 2048)",
      integer,
    )
    .addOption(deviceOption())
    .addOption(jsonOption())
    .action(async (trained: string, options: CompareOptions & { json?: boolean }) => {
      const { compare } = await import('./commands/compare')
      setExitCode(await compare(trained, options, context(options.json)))
    })

  program
    .command('recipes')
    .description(
      'write recipes for training a grown model elsewhere: train.py, other trainers, clusters',
    )
    .argument('<model>', 'folder of a grown checkpoint')
    .option('--out <dir>', "folder for the recipes (default: recipes in the model's folder)")
    .option('--overwrite', 'replace recipes that are there')
    .addOption(jsonOption())
    .action(async (model: string, options: RecipesOptions & { json?: boolean }) => {
      const { recipes } = await import('./commands/recipes')
      setExitCode(await recipes(model, options, context(options.json)))
    })

  program
    .command('synth')
    .description(
      "write a checkpoint of random weights with a real model's shape, for trials and benchmarks",
    )
    .requiredOption(
      '--like <model>',
      `${SYNTH_PRESET_CHOICES.join(', ')}, or a config.json of a supported architecture`,
    )
    .requiredOption('--out <dir>', 'folder for the checkpoint')
    .option('--layers <n>', "decoder layers (default: the model's own)", integer)
    .addOption(choice('--dtype <type>', 'element type (default: bf16)', SYNTH_DTYPE_CHOICES))
    .option('--max-shard-size <size>', 'largest safetensors file (default: 5GB)', size)
    .option('--overwrite', 'replace a checkpoint that is there')
    .option('--seed <n>', 'of the weights (default: 0)', integer)
    .addOption(jsonOption())
    .action(async (options: SynthOptions & { json?: boolean }) => {
      const { synth } = await import('./commands/synth')
      setExitCode(await synth(options, context(options.json)))
    })

  program
    .command('devices')
    .description('try every device and say what `auto` takes')
    .addOption(jsonOption())
    .action(async ({ json }: { json?: boolean }) => {
      const { devices } = await import('./commands/devices')
      setExitCode(await devices(context(json)))
    })

  program
    .command('serve')
    .description('serve the workbench to a browser on this machine')
    .option('--port <number>', 'TCP port on 127.0.0.1; 0 takes a free one (default: 0)', port)
    .action(async (options: { port?: number }) => {
      const { serve } = await import('./commands/serve')
      setExitCode(await serve(options, context(false)))
    })

  program
    .command('demo', { hidden: true })
    .description('grow the bundled model with six methods, compare them, and train five starts')
    .option('--out <dir>', 'folder for the checkpoints', 'demo-output')
    .action(async ({ out }: { out: string }) => {
      const { demo } = await import('./commands/demo')
      setExitCode(await demo(out, context(false)))
    })

  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        // The error itself is printed where it is caught.
        outputError: () => {},
        getOutHelpWidth: () => io.stdout.columns ?? 100,
        getErrHelpWidth: () => io.stderr.columns ?? 100,
      })
      .configureHelp({ sortOptions: false })
  }
  return program
}

const NO_RECIPES = 'do not write recipes for training it elsewhere into the checkpoint'

function addExpandOptions(command: Command): Command {
  command
    .option('--out <dir>', 'folder for the grown checkpoint; needed unless --only is given')
    .addOption(
      choice('--method <name>', 'how the new layers come about', METHODS).default(DEFAULT_METHOD),
    )
    .option(
      '--plan <file>',
      'mergekit recipe of copied layers (merge_method: passthrough), in place of --method and places',
    )
    .option('--overwrite', 'replace a checkpoint that is there')
  const namesOf = ([first]: readonly MethodFlag[]): string => first?.methods.join(', ') ?? ''
  for (const [group, flags] of [
    ['Where the layers go:', METHOD_FLAGS.layers],
    [`Fitting to a text (${namesOf(METHOD_FLAGS.fitting)}):`, METHOD_FLAGS.fitting],
    [`Training the predictors (${namesOf(METHOD_FLAGS.training)}):`, METHOD_FLAGS.training],
    [
      `Memory, and more than one machine (${namesOf(METHOD_FLAGS.machines)}):`,
      METHOD_FLAGS.machines,
    ],
  ] as const) {
    command.optionsGroup(group)
    for (const flag of flags) command.addOption(optionOf(flag))
  }
  return command
    .optionsGroup('Output and device:')
    .addOption(
      choice('--dtype <type>', 'element type of the output (default: keep)', DTYPE_CHOICES),
    )
    .option(
      '--allow-overflow',
      'write weights that the element type cannot hold as infinities instead of refusing',
    )
    .option('--max-shard-size <size>', 'largest safetensors file (default: 5GB)', size)
    .option('--no-recipes', NO_RECIPES)
    .addOption(deviceOption())
    .option('--seed <n>', 'of everything random (default: 0)', integer)
    .addOption(jsonOption())
}

function addTryOptions(command: Command): Command {
  const usual = GENERATION_DEFAULTS
  return command
    .option('--prompt <text>', 'text to continue')
    .option('--prompt-file <file>', 'UTF-8 file that holds it')
    .option('--tokens <n>', `the most that are written (default: ${usual.tokens})`, integer)
    .option(
      '--temperature <x>',
      `of sampling; 0 takes the likeliest token always (default: ${usual.temperature})`,
      decimal,
    )
    .option('--top-k <n>', 'sample among so many of the likeliest tokens', integer)
    .option(
      '--top-p <x>',
      'sample among the likeliest tokens that have this probability together',
      decimal,
    )
    .option('--seed <n>', `of sampling, the same for every model (default: ${usual.seed})`, integer)
    .addOption(deviceOption())
    .option(
      '--memory <size>',
      'bound on host memory, such as 8GB (default: most of what is free)',
      size,
    )
    .option('--device-memory <size>', 'memory of a GPU that weights may take to stay there', size)
    .addOption(jsonOption())
}

function addPretrainOptions(command: Command): Command {
  const usual = PRETRAIN_DEFAULTS
  return command
    .requiredOption(
      '--text <path...>',
      'texts to train on: .txt, .jsonl, either gzipped, .parquet, or folders of them',
    )
    .requiredOption(
      '--out <dir>',
      'folder for the trained checkpoint; for several, of a folder for each',
    )
    .option('--overwrite', 'replace checkpoints that are there')
    .optionsGroup('Texts:')
    .option(
      '--text-field <name>',
      `field of .jsonl and column of .parquet that holds the text (default: ${usual.textField})`,
    )
    .addOption(
      choice('--order <order>', `order of the windows (default: ${usual.order})`, TEXT_ORDERS),
    )
    .option('--eval-text <file>', 'text to measure the evaluation loss on')
    .option(
      '--eval-share <x>',
      `without it: share of the windows that is held back for that (default: ${usual.evalShare})`,
      decimal,
    )
    .option(
      '--forgetting-text <file>',
      'text that the base knows: its loss tells what is forgotten',
    )
    .option('--base <model>', 'measured on the same texts as a yardstick, not trained')
    .optionsGroup('How long:')
    .option('--steps <n>', `optimiser steps (default: ${usual.steps})`, integer)
    .option('--tokens <n>', 'instead of steps: tokens seen', integer)
    .option('--epochs <x>', 'instead of steps: times through the texts', decimal)
    .option(
      '--context <tokens>',
      `tokens of a window (default: the model's own context, at most ${MAX_DEFAULT_CONTEXT})`,
      integer,
    )
    .option('--batch <n>', `windows of a step (default: ${usual.batch})`, integer)
    .optionsGroup('Training:')
    .option(
      '--train <layers>',
      'new, or layers such as 4,6-9; everything else is frozen (default: new)',
    )
    .option('--norms-only', 'train nothing but the norm weights of these layers')
    .option(
      '--lr <rates>',
      `learning rate; of several (1e-4,3e-4) each model takes its best in short trials (default: ${formatNumber(usual.learningRate)})`,
      decimals,
    )
    .option(
      '--output-lr-factor <x>',
      `multiplies the rate of output matrices that start as zero, as LLaMA Pro's do (default: ${usual.outputRateFactor})`,
      decimal,
    )
    .addOption(
      choice(
        '--schedule <name>',
        `course of the rate: warm-up, level, decay; cosine; level (default: ${usual.schedule})`,
        SCHEDULES,
      ),
    )
    .option('--warmup <n>', 'steps of warm-up (default: a tenth, at most 100)', integer)
    .option('--weight-decay <x>', `of AdamW (default: ${usual.weightDecay})`, decimal)
    .option(
      '--clip <x>',
      `longest gradient of all trained weights together; 0 for any (default: ${usual.clip})`,
      decimal,
    )
    .option('--beta1 <x>', `of AdamW (default: ${usual.beta1})`, decimal)
    .option('--beta2 <x>', `of AdamW (default: ${usual.beta2})`, decimal)
    .option('--epsilon <x>', `of AdamW (default: ${formatNumber(usual.epsilon)})`, decimal)
    .option('--seed <n>', `of the order of the windows (default: ${usual.seed})`, integer)
    .option(
      '--seeds <n>',
      `train each model so many times, with the seeds that follow, and tell the spread (default: ${usual.repeats})`,
      integer,
    )
    .optionsGroup('Measuring and keeping:')
    .option('--eval-every <n>', 'steps between evaluations (default: a twentieth of all)', integer)
    .option(
      '--save-every <minutes>',
      `between states that are kept in --job (default: ${usual.saveEvery})`,
      decimal,
    )
    .option(
      '--job <dir>',
      'keep tokens and states here: the same command, given again, goes on from there',
    )
    .optionsGroup('Output and device:')
    .option('--max-shard-size <size>', 'largest safetensors file (default: 5GB)', size)
    .addOption(deviceOption())
    .option('--memory <size>', 'bound on host memory, such as 8GB (default: what is free)', size)
    .option(
      '--device-memory <size>',
      'memory of a GPU that weights and states may take to stay there',
      size,
    )
    .addOption(jsonOption())
}

const PARSERS: Readonly<
  Record<'integer' | 'decimal' | 'size' | 'layers' | 'holdout' | 'damp', (text: string) => unknown>
> = {
  integer,
  decimal,
  size,
  layers: layerRange,
  holdout: heldOutLayers,
  damp: decimalOr('auto'),
}

/** Values that are taken as they are given. */
const PLAIN: readonly MethodFlag['value'][] = ['text', 'flag', 'none']

function optionOf({ flags, help, value }: MethodFlag): Option {
  const option = new Option(flags, help)
  if (typeof value === 'object') return option.choices(value)
  return isParsed(value) ? option.argParser(PARSERS[value]) : option
}

function isParsed(value: MethodFlag['value']): value is keyof typeof PARSERS {
  return typeof value === 'string' && !PLAIN.includes(value)
}

function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices(choices)
}

function deviceOption(): Option {
  return choice('--device <name>', 'where to compute (default: auto)', DEVICE_CHOICES)
}

function jsonOption(): Option {
  return new Option('--json', 'print the result as one JSON document')
}

/** Options that are on until they are switched off: `--no-svd` would otherwise read as a given `svd` in every call. */
const SWITCHED_OFF = ['svd', 'recipes']

/** Only what was given. */
export function givenOptions<T extends object>(options: T, command: Command): T {
  const names = Object.keys(options).filter(
    (name) => !SWITCHED_OFF.includes(name) || command.getOptionValueSource(name) === 'cli',
  )
  return Object.fromEntries(names.map((name) => [name, options[name as keyof T]])) as T
}

/**
 * What commander ended with: `null` when it printed help or the version as asked.
 *
 * @throws what it is not.
 */
export function usageErrorOf(thrown: unknown): UsageError | null {
  if (thrown instanceof UsageError) return thrown
  if (!(thrown instanceof CommanderError)) throw thrown
  if (thrown.exitCode === 0) return null
  return new UsageError(thrown.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' '))
}
