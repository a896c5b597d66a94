/** @file `train.slurm`: `train.py` on several nodes of a cluster, taken up again when its time is over. */
import { BATCH, GPUS, NODES } from './course'
import type { RecipeFiles } from './RecipeSubject'

export function slurm(): RecipeFiles {
  return {
    'recipes/train.slurm': `#!/bin/bash
# Trains the new layers on several nodes. In the checkpoint's folder, which all nodes see, as they see TEXT and OUT:
#   TEXT=/data/corpus OUT=/data/trained sbatch recipes/train.slurm
# What else train.py takes comes after the file: sbatch recipes/train.slurm --tokens 2000000000 --context 2048
#SBATCH --job-name=train-grown
#SBATCH --nodes=${NODES}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=${GPUS}
#SBATCH --cpus-per-task=32
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -euo pipefail

TEXT=\${TEXT:-../corpus.jsonl}
OUT=\${OUT:-../trained}
# Windows of a step on all GPUs together: a multiple of their number.
BATCH=\${BATCH:-${BATCH}}

# Compute nodes reach no network, and need none.
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1
export OMP_NUM_THREADS=\${OMP_NUM_THREADS:-8}

# The first node is where all processes meet. A port of the job's own, so that two jobs do not meet there.
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
PORT=$((20000 + SLURM_JOB_ID % 20000))

# Two minutes before the time is over the job is put in the queue again; then --resume takes up the last state.
trap 'echo "The time is over: in the queue again."; scontrol requeue "$SLURM_JOB_ID"; exit 0' USR1

srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" torchrun \\
  --nnodes "$SLURM_NNODES" \\
  --nproc_per_node "\${SLURM_GPUS_ON_NODE:-${GPUS}}" \\
  --rdzv_id "$SLURM_JOB_ID" \\
  --rdzv_backend c10d \\
  --rdzv_endpoint "$HEAD:$PORT" \\
  recipes/train.py --text "$TEXT" --out "$OUT" --batch "$BATCH" --resume "$@" &
# The trap runs only while the shell waits for something in the background.
wait $!
`,
  }
}
