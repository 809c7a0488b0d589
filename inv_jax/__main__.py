"""`python -m inv_jax` is the console script `inv-jax`."""

import sys

from inv_jax.cli import main

sys.exit(main())
