#!/usr/bin/env bash
# The demo: renders the procedural capture, trains Warm-Up and Structure Transfer on it, prints
# the table of held-out views and writes the video. $1: folder of the run (runs/demo).
. "$(dirname "$0")/environment.sh"
workdir=${1:-runs/demo}
inv-jax train --config=configs/demo.py --workdir="$workdir"
inv-jax eval --workdir="$workdir"
inv-jax render --workdir="$workdir" --path=spiral --out="$workdir/spiral.mp4"
