#!/usr/bin/env bash
# 2026-11-30, jax and jaxlib 0.10.2, filelock 4.3.1, CPU.
#
# JAX_COMPILATION_CACHE_MAX_SIZE bounds the cache of compiled programs on disk, and brings a lock, so
# that several processes may share a folder. So one guesses that a process that is killed while it
# writes there costs one entry: it would be compiled again.
#
# What happens: an entry is two files, and the second one, its time of use, is written behind the
# first. A process killed between the two leaves an entry without it. From then on every write of
# every process fails with a warning (FileNotFoundError, the name of that one file), for whatever
# program; the cache stays readable, and nothing new gets into it until somebody deletes the entry.
# Without a bound (the default) there is no second file, and nothing of the kind.
#
# Who is hurt: batch jobs that are preempted and share a bounded cache (all later jobs compile all
# that is new, every time; the warning is easily lost among others), and test suites that kill
# processes: one run of ours wrote 1,410 such warnings.
#
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2 filelock==4.3.1
cat > "$folder/add.py" <<'PYTHON'
import sys
import warnings

import jax

number = float(sys.argv[1])  # part of the program: each is an entry of its own
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    jax.jit(lambda x: x + number)(1.0)
for warning in caught:
    print(str(warning.message).split(":")[0] + ", " + str(warning.message).split(":")[1].strip())
PYTHON
export JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR="$folder/compiled"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

entries() { find "$JAX_COMPILATION_CACHE_DIR" -name '*-cache' | wc -l; }
add() { "$folder/env/bin/python" "$folder/add.py" "$1"; }

"$folder/env/bin/python" -c 'import jax, filelock; print("jax", jax.__version__, "filelock", filelock.__version__)'
export JAX_COMPILATION_CACHE_MAX_SIZE=1000000000
add 1
before=$(entries)
torn=$(find "$JAX_COMPILATION_CACHE_DIR" -name '*-atime' | head -n 1)
rm "$torn"  # as a kill between the two writes leaves it
said=$(add 2)
after=$(entries)
echo "bounded: $before entries, one of them torn; another program: $after entries; it said: $said"
rm "${torn%-atime}-cache"
said_mended=$(add 2)
mended=$(entries)
echo "the torn one deleted, and the program run again: $mended entries; it said: $said_mended"
[ "$before" -ge 1 ] && [ "$after" -eq "$before" ] && [ -n "$said" ]
[ "$mended" -gt "$((before - 1))" ] && [ -z "$said_mended" ]
echo "as described above"
