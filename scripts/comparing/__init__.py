"""What a comparison of methods is made of: the runs that it takes, and what is shown of them."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for `configs`
