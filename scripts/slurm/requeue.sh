# shellcheck shell=bash
# What the batch files share: a run as a job step, and what follows when it is stopped. Sourced.
#
# SLURM signals the processes of a step, not this shell: they store the state and leave with 128 +
# the signal, and `srun` hands that on. Where SLURM ends or requeues a job by itself (`scancel`,
# preemption without a grace time) it ends this shell at once, so nothing here requeues it again.

set -euo pipefail

max_stalls=${INV_JAX_MAX_STALLS:-3} # restarts in a row that have stored nothing

fail() {
    echo "$(date '+%F %T') job ${SLURM_JOB_ID:-?}: $1" >&2
    exit "${2:-2}"
}

# train CONFIG WORKDIR [FLAG ...]: trains until the video is done; requeues the job until then.
train() {
    [ $# -ge 2 ] || fail "expected CONFIG WORKDIR [--config.NAME=VALUE ...], found $# arguments"
    local config=$1 workdir=$2 status=0
    shift 2
    # shellcheck disable=SC1091,SC2154 # it is the site's, and set by the batch file
    if [ -r "$venv/bin/activate" ]; then . "$venv/bin/activate"; fi
    command -v inv-jax >/dev/null ||
        fail "no inv-jax in PATH; set venv in the batch file to the environment that has it"
    echo "$(date '+%F %T') job $SLURM_JOB_ID, restart ${SLURM_RESTART_COUNT:-0}: $workdir"
    # --export, --cpus-per-task: srun may be told to drop the environment that was just activated,
    # and since SLURM 22.05 it does not take the processor cores over from the job.
    # --kill-on-bad-exit=0: the first process to leave after a signal must not end the one that is
    # still writing. --wait: but so many seconds after it they all have to be gone.
    srun --export=ALL --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 --wait=90 \
        inv-jax train --config="$config" --workdir="$workdir" "$@" || status=$?
    case $status in
        0) ;;
        # SIGUSR1, SIGTERM: the state is stored. SIGKILL, SIGABRT, or 75: a process has died, or has
        # lost another; the run goes on from what it stored last.
        138 | 143 | 137 | 134 | 75) requeue "$workdir" "$status" ;;
        *) fail "inv-jax train ended with status $status; not requeued" "$status" ;;
    esac
}

# requeue WORKDIR STATUS: requeues this job, unless its last restarts have all stored nothing.
requeue() {
    local workdir=$1 status=$2 job=$SLURM_JOB_ID now stalls
    # A job's own number may be that of its whole array, all of which it would requeue.
    if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
    mkdir -p "$workdir"
    now="job $job: $(progress "$workdir")"
    # A restart that stores nothing leaves the line of the restart before it once more.
    stalls=$(grep -cxF -- "$now" "$workdir/requeues.log" 2>/dev/null || true)
    if [ "${stalls:-0}" -ge "$max_stalls" ]; then
        fail "status $status, and $stalls restarts have stored nothing; not requeued" "$status"
    fi
    echo "$now" >>"$workdir/requeues.log"
    echo "$(date '+%F %T') status $status; requeueing $now"
    scontrol requeue "$job" || fail "cannot requeue; the same sbatch command goes on" "$status"
    exit "$status" # which SLURM forgets, if it has not ended this shell yet
}

# progress WORKDIR: how far a run is, as a text that changes with everything it stores.
progress() {
    local frames partial capture
    frames=$(find "$1/frames" -mindepth 1 -maxdepth 1 -name '[0-9]*' ! -name '*[!0-9]*' 2>/dev/null |
        wc -l)
    partial=$(find "$1/partial" -mindepth 1 -maxdepth 1 -name '[0-9]*' ! -name '*[!0-9]*' \
        -printf '%f\n' 2>/dev/null | sort -n | paste -sd ' ') # one of each frame in training
    capture=$(find "$1/capture" -type f 2>/dev/null | wc -l) # one that is rendered as it starts
    echo "$frames frames, states ${partial:-none}, $capture rendered images"
}
