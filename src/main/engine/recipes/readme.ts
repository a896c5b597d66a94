/** @file `README.md` of the recipes: how the new layers are trained elsewhere, and how the result comes back. */
import { METHOD_NAMES } from '@shared/methods'
import { formatBytes, formatCount } from '@shared/units'
import { BATCH, contextOf, CORPUS, COURSE, GPUS, MACHINE_COMMANDS, NODES } from './course'
import { hasProStride } from './llamaFactory'
import { trainingMemory } from './memory'
import { swiftCommand } from './swift'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** @param others The files that stand beside it. */
export function readme(subject: RecipeSubject, others: RecipeFiles): RecipeFiles {
  return { 'recipes/README.md': `${textOf(subject, others).trimEnd()}\n` }
}

function textOf(subject: RecipeSubject, others: RecipeFiles): string {
  const { layers, layersBefore, newLayers, parameters, trainedParameters } = subject
  const context = contextOf(subject)
  return `# Training the new layers

${inline(subject.baseModel)} has ${layersBefore} layers, this model ${layers.length}: ${METHOD_NAMES[subject.method]} added ${newLayers.length} (${newLayers.join(', ')}, counted from 0). They hold ${formatCount(trainedParameters)} of ${formatCount(parameters)} parameters. ${
    subject.startsFromZero
      ? 'They add nothing yet: the model answers as its base does until they are trained.'
      : 'They already change what the model answers, and want training before they are of use.'
  }

The usual way is to train the new layers alone on text of the kind that the model is to learn, and to leave everything else as it is. These files do that. All commands are run in this model's folder, the one above \`recipes\`.

| file | |
|---|---|
${fileRows(others)}

## Texts

\`${CORPUS}\`, beside this folder: one JSON object a line, with the text in the field \`text\`. \`train.py\` also reads .txt, either gzipped, .parquet, and folders of them. Nothing is fetched from a network.

\`\`\`sh
printf '%s\\n' '{"text": "A first document."}' '{"text": "A second one."}' > ${CORPUS}    # the form, not enough text
\`\`\`

Keep a text of the kind that the base was trained on beside it, and give it as \`--forgetting-text\`: its loss tells what the model loses while the other falls.

## One machine

\`\`\`sh
pip install "torch>=2.7" "transformers>=5" accelerate safetensors
\`\`\`

**A trial**, on a CPU or any GPU: ten steps, a minute for a small model. It tells whether texts and packages are in order.

\`\`\`sh
python recipes/train.py --text ${CORPUS} --out ../trial --steps 10 --batch 2 --context ${Math.min(128, context)}
\`\`\`

**One GPU:**

\`\`\`sh
${MACHINE_COMMANDS.one_gpu}
\`\`\`

**${GPUS} GPUs**, among which weights and states are divided (FSDP2):

\`\`\`sh
${MACHINE_COMMANDS.several_gpus}
\`\`\`

How long is said with \`--steps\`, \`--tokens\` or \`--epochs\`; \`--batch\` counts windows of \`--context\` tokens (${context}) on all GPUs together and is a multiple of their number. The same command with \`--resume\` goes on from the last state after a crash. \`python recipes/train.py --help\` lists the rest.

At the end \`train.py\` compares every frozen tensor with the one here, bit for bit, and writes \`../trained\`: a checkpoint like this one, with the training in its \`lesa.json\` and model card.

Backward passes of the layers below the first new one are not run: only what is trained, and what lies above it, needs them. That is why \`train.py\` switches gradient checkpointing on by itself; the Trainer's own switch makes the embeddings ask for gradients, and the backward pass then runs through every frozen layer.

## A cluster

\`train.slurm\` starts \`train.py\` with \`torchrun\` on ${NODES} nodes of ${GPUS} GPUs; other numbers are \`sbatch\`'s own options. Model, texts and \`OUT\` lie where all nodes see them.

\`\`\`sh
${MACHINE_COMMANDS.cluster}
sbatch --nodes 4 recipes/train.slurm --tokens 2000000000 --context ${context}
\`\`\`

Two minutes before the job's time is over it is put in the queue again, and goes on from the last state (\`--save-every\` says how often one is kept).

## Memory

Each GPU, with one window of ${context} tokens at a time:

${memoryTable(subject, context)}

Counted, not measured; leave a tenth beside it for the libraries. What is frozen takes what is stored (${subject.dtype === 'float32' ? '4 bytes' : '2 bytes'} a parameter). What is trained takes ${subject.dtype === 'float32' ? '16' : '18'} bytes a parameter: 4 for the weight${subject.dtype === 'float32' ? '' : ', 2 for its 16-bit copy in products'}, 4 for the gradient, 8 for AdamW's two moments. \`--trained-dtype stored\` takes half of that and loses small updates where weights have 16 bits: a step of 1e-5 of a bfloat16 weight is rounded away. Activations are kept as each layer's input from layer ${newLayers[0]} up; one layer is computed again at a time, or the logits (${formatCount(subject.vocabSize)} a token) take more. On several GPUs all is divided but two layers and the tables, whole while they are used.

If it does not fit: a smaller \`--context\`, more GPUs, \`--trained-dtype stored\`, in this order.

## How much, how fast

Tokens that others trained on after growing:

| | model | tokens |
|---|---|---|
| LLaMA Pro (Wu et al. 2024, arXiv 2401.02415) | 7 B, 8 blocks added, only these trained | 80 B of code and mathematics |
| LESA (Yang et al. 2025, arXiv 2502.13794) | 8 B → 11.5 B, 32 → 48 layers | 6,000 steps of Wikipedia; its loss settles after 2,000, LLaMA Pro's after 5,000 |
| G_stack (Du et al. 2024, arXiv 2405.15319) | 7 B from a smaller model, all trained | 194 B, instead of 300 B from scratch |
| Falcon3-10B (its page in transformers' documentation) | 7 B → 40 layers, all trained | 2 T |

The learning rate here is ${COURSE.learningRate}, LLaMA Pro's for its new blocks (section 4.1 of the paper). LLaMA-Factory's example for such blocks uses 1e-4, and 2e-4 was blamed for a plateau (LLaMA-Pro, issue 29). Which is best differs from start to start more than their losses differ at one rate, so try two or three for a hundred steps on your own text: 1e-4, 3e-4, 1e-3.${
    subject.startsFromZero
      ? ' Output matrices that are zero want a higher rate than the rest at first: `--output-lr-factor 10`.'
      : ''
  } The schedule warms up, stays level and falls at the end (the last fifth): what grows late in the level part loses least (arXiv 2511.04981), and a training can be made longer without a new plan.

${subject.storedNames === null ? otherTrainers(subject) : WITHIN}

## DeepSpeed and Accelerate

\`train.py\` sets FSDP2 itself under \`torchrun\`. With Accelerate's launcher:

\`\`\`sh
accelerate launch --config_file recipes/accelerate_fsdp2.yaml recipes/train.py --text ${CORPUS} --out ../trained --batch ${BATCH}
\`\`\`

Prefer it to DeepSpeed where parameters are frozen. Known faults there (github.com/deepspeedai/DeepSpeed): frozen weights have no place in the optimiser's state and were lost in ZeRO-3 checkpoints (issues 2653, 3090; repaired), ZeRO-2 with frozen layers (issue 4055, open), ZeRO-3 with checkpointing computed frozen parameters again as empty ones (pull request 8130), DeepCompile ends with a KeyError (pull request 8214). FSDP1 needs \`use_orig_params: true\`. With FSDP2 keep \`cpu_ram_efficient_loading\` off: frozen and trained parameters were mixed up by it (axolotl, pull request 3977).

## The way back

In LESA Workbench, *Add a trained checkpoint* in Compare takes the folder that any of these trainers wrote. On the command line:

\`\`\`sh
lesa compare ../trained --start .          # what changed in each layer, and whether an original one was touched
lesa evaluate . ../trained --text TEXT     # perplexity on a text, and whether the difference is one
\`\`\`

${'recipes/eval.sh' in others ? evaluationText(subject) : ''}${
    'recipes/mergekit.yaml' in others
      ? `
## mergekit

The layers are copies, so mergekit can make this model from ${inline(subject.baseModel)} as well:

\`\`\`sh
mergekit-yaml recipes/mergekit.yaml ../merged
\`\`\`

\`lesa expand BASE --plan recipes/mergekit.yaml --out OUT\` reads such a recipe back.
`
      : ''
  }`
}

/** Said in place of other trainers. */
const WITHIN = `## Other trainers

The layers lie in the text decoder of a model that sees or hears as well. \`train.py\` trains them on text alone, and copies every other part as it is. No files are written for axolotl, ms-swift, LLaMA-Factory, mergekit and lm-evaluation-harness, whose ways with such models differ from each other.`

function otherTrainers(subject: RecipeSubject): string {
  const { newLayers } = subject
  return `## axolotl

\`\`\`sh
axolotl train recipes/axolotl.yaml
\`\`\`

\`unfrozen_parameters\` names exactly the new layers. Axolotl makes every dot of such a pattern literal and matches from the name's start: an escaped dot matches nothing, and neither does \`layers.${newLayers[0]}.\` without what stands before it. For several machines see axolotl's own page on nodes; the file stays as it is.

## ms-swift

\`\`\`sh
${swiftCommand(subject)}
\`\`\`

It freezes all and then trains what the expression finds. Megatron-SWIFT takes the same flags, but its names are others (\`decoder.layers.N\`) and N counts within a pipeline's stage: use one stage.

## LLaMA-Factory

\`\`\`sh
llamafactory-cli train recipes/llamafactory.yaml
\`\`\`

${
  hasProStride(subject)
    ? `The new layers are the last of ${newLayers.length} equal groups, which is what \`use_llama_pro\` trains, at full rank.`
    : `LoRA on the new layers' modules by their full names. At full rank LLaMA-Factory trains the first or the last layers, or the last of equal groups; layers ${newLayers.join(', ')} are neither, and \`freeze_trainable_layers: ${newLayers.length}\` would train others without a word. For full rank take \`train.py\` or axolotl.`
} \`dataset_info.json\` tells it where the texts are.`
}

function evaluationText(subject: RecipeSubject): string {
  return `Tasks, with lm-evaluation-harness (\`pip install "lm_eval[hf]"\`); \`BASE\` is the folder of ${inline(subject.baseModel)}:

\`\`\`sh
bash recipes/eval.sh fetch                 # once, where there is a network
bash recipes/eval.sh BASE . ../trained
\`\`\`
`
}

/** In the order in which they are explained. */
const FILES: readonly (readonly [name: string, what: string])[] = [
  ['train.py', 'trains the new layers with PyTorch and transformers, on one GPU or many'],
  ['recipe.json', 'what it is told of this model'],
  ['train.slurm', 'the same on several nodes of a cluster'],
  ['eval.sh', 'lm-evaluation-harness on base, grown and trained model'],
  ['axolotl.yaml', 'for axolotl'],
  ['llamafactory.yaml', 'for LLaMA-Factory, with `dataset_info.json`'],
  ['accelerate_fsdp2.yaml', "for Accelerate's launcher"],
  ['mergekit.yaml', 'the growth itself, for mergekit'],
]

function fileRows(files: RecipeFiles): string {
  return FILES.filter(([name]) => `recipes/${name}` in files)
    .map(([name, what]) => `| \`${name}\` | ${what} |`)
    .join('\n')
}

function memoryTable(subject: RecipeSubject, context: number): string {
  const rows = [1, GPUS, GPUS * NODES].map((gpus) => {
    const memory = trainingMemory(subject, { gpus, context })
    const { frozen, trained, optimizer, activations, total } = memory
    const cells = [frozen, trained, optimizer, activations, total].map(formatBytes)
    return `| ${gpus} | ${cells.join(' | ')} |`
  })
  return `| GPUs | frozen | trained | optimiser | activations | together |
|---|---|---|---|---|---|
${rows.join('\n')}`
}

/** A name from outside, in a line of Markdown. */
function inline(name: string): string {
  return `\`${name.replace(/[\s`]+/g, ' ').trim()}\``
}
