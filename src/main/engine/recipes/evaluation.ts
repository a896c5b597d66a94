/** @file `eval.sh`: lm-evaluation-harness on base, grown and trained model. */
import type { RecipeFiles } from './RecipeSubject'

/** Of the papers on growth in depth, those without generation. */
const TASKS = 'arc_easy,arc_challenge,hellaswag,winogrande,piqa,lambada_openai,mmlu'

export function evaluation(): RecipeFiles {
  return {
    'recipes/eval.sh': `#!/bin/bash
# Runs the same tasks on several models with lm-evaluation-harness (pip install "lm_eval[hf]").
#   bash recipes/eval.sh fetch                      once, where there is a network: the tasks' data sets
#   bash recipes/eval.sh BASE . ../trained          anywhere: folders of checkpoints
# TASKS, BATCH (windows at a time), LIMIT (examples of a task) and OUT can be set before the command.
set -euo pipefail

TASKS=\${TASKS:-${TASKS}}
BATCH=\${BATCH:-auto}
OUT=\${OUT:-../evaluation}
LIMIT=\${LIMIT:-}

if [ $# -eq 0 ]; then
  echo "usage: bash recipes/eval.sh fetch | MODEL..." >&2
  exit 2
fi

if [ "$1" = fetch ]; then
  # A model that answers at random needs the data sets and nothing else.
  lm_eval --model dummy --tasks "$TASKS" --limit 1
  exit 0
fi

for model in "$@"; do
  if [ ! -f "$model/config.json" ]; then
    echo "error: $model is no checkpoint: it has no config.json" >&2
    exit 1
  fi
done

export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1
for model in "$@"; do
  name=$(basename "$(cd "$model" && pwd)")
  echo "== $name"
  lm_eval --model hf --model_args "pretrained=$model,dtype=auto" --tasks "$TASKS" \\
    --batch_size "$BATCH" \${LIMIT:+--limit "$LIMIT"} --output_path "$OUT/$name"
done
`,
  }
}
