#!/usr/bin/env bash
# The demo: renders the procedural capture, trains Warm-Up and Structure Transfer on it, prints
# the table of held-out views and writes the video. `demo.sh inv` does it with the paper's networks,
# on smaller pictures. The last argument: folder of the run (runs/demo, runs/demo_inv).
. "$(dirname "$0")/environment.sh"
config=configs/fast.py:demo workdir=runs/demo
if [ "${1:-}" = inv ]; then
    config=configs/demo.py workdir=runs/demo_inv
    shift
fi
workdir=${1:-$workdir}
inv-jax train --config="$config" --workdir="$workdir"
inv-jax eval --workdir="$workdir"
inv-jax render --workdir="$workdir" --path=spiral --out="$workdir/spiral.mp4"
