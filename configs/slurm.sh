#!/bin/bash
# One study by several nodes: sbatch configs/slurm.sh analyze STUDY --images FOLDER --encoder SPEC …
# Study, images and this folder are on storage that every node sees under the same path (docs/scale.md).
#SBATCH --job-name=peregrine
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
# with GPUs: #SBATCH --gpus-per-node=4 and PROCESSES=4; each process takes one
set -euo pipefail

nodes=${SLURM_JOB_NUM_NODES:-1}
processes=${PROCESSES:-1}  # a node
port=$((20000 + ${SLURM_JOB_ID:-0} % 20000))
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((${SLURM_CPUS_PER_TASK:-1} / processes))}
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # else a group with other nodes meets addresses of the last one
# export GLOO_SOCKET_IFNAME=ib0  # where a node's name is no address that the others reach

exec srun --kill-on-bad-exit=1 .venv/bin/python -m torch.distributed.run \
  --nnodes "$nodes" --nproc-per-node "$processes" --max-restarts 3 \
  --rdzv-backend c10d --rdzv-endpoint "$head:$port" --rdzv-id "${SLURM_JOB_ID:-0}" \
  -m core "$@"
