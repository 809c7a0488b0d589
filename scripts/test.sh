#!/usr/bin/env bash
# The tests: style, everything quick, and a few of the long ones. Arguments go to pytest instead
# of that choice: `bash scripts/test.sh tests/render -k composite`.
. "$(dirname "$0")/environment.sh" test
if [ $# -gt 0 ]; then
    exec python -m pytest "$@"
fi
ruff check .
ruff format --check .
python -m pytest -n 2 -m "not slow"
