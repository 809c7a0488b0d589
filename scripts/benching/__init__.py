"""What the benches share: rows of JSON, timing in turn, configs, a capture, traces.

A bench is a script `scripts/bench_*.py`; each case prints one line of JSON. `bench_all.py` runs
them all and makes one file and one table of their lines.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for `configs`
