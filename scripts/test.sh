#!/usr/bin/env bash
# The tests: style, everything quick, and a few of the long ones. Arguments go to pytest instead
# of that choice: `bash scripts/test.sh tests/render -k composite`.
. "$(dirname "$0")/environment.sh" test
# The tests start many processes that compile the same small programs: once is enough. A cache of
# bounded size is one with a lock.
export JAX_COMPILATION_CACHE_DIR="$PWD/.venv/compiled"
export JAX_COMPILATION_CACHE_MAX_SIZE=1000000000
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.3
if [ $# -gt 0 ]; then
    exec python -m pytest "$@"
fi
ruff check .
ruff format --check .
# Of the long ones: a kill within a frame, a kill within a write, SIGTERM, a disk that is full, of two
# processes one that is killed; and the notebook.
# A module is one worker's, so that what its tests share is made once; in the order of the folders,
# since by number of tests the few long ones would come last, and one worker would wait.
python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow or in_ci"
