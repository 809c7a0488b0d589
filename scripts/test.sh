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
python -m pytest -n 2 -m "not slow"
# Of the long ones: a kill within a frame, a kill within a write, SIGTERM, a disk that is full, and
# of two processes one that is killed; and the notebook.
python -m pytest -n 2 \
    "tests/train/test_resume.py::test_a_killed_process_goes_on_with_the_same_bits[partial/1*-0.0]" \
    "tests/train/test_resume.py::test_a_killed_process_goes_on_with_the_same_bits[frames/*tmp*-0.0]" \
    tests/scripts/test_layer_surgery.py::test_the_notebook_runs_and_shows_what_its_text_says \
    tests/train/test_resume.py::test_sigterm_stores_the_state_and_says_so \
    tests/test_cli.py::test_a_disk_that_takes_no_more_ends_the_process_with_status_2 \
    "tests/train/test_processes.py::test_when_a_process_is_killed_the_other_stops_and_the_job_goes_on[another one]"
