"""What this host has, asked without taking it: a process that uses a GPU takes its memory."""

import functools
import subprocess
import sys


@functools.cache
def platform() -> tuple[str, int, str]:
    """Platform (`cpu`, `gpu`), number of devices, their kind; from a process that ends."""
    code = "import jax; d = jax.devices(); print(d[0].platform, len(d), d[0].device_kind)"
    found = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    name, count, kind = found.stdout.split(maxsplit=2)
    return name, int(count), kind.strip()
