"""What a machine has, and the rates that it reaches: matrix products and memory.

Rates are measured in a few seconds, each as the best of several tries: they are what the machine
can do, not what it does on average.
"""

import os
import pathlib
import platform
import time
from collections.abc import Iterable
from importlib import metadata

import jax
import numpy as np

from inv_jax.cost.count import Product
from inv_jax.cost.products import Timer
from inv_jax.types import InvError

_SQUARES = {"cpu": (512, 1024), "gpu": (4096, 8192), "tpu": (4096, 8192)}  # large enough for each
_ARRAY_BYTES = {"cpu": 2**28, "gpu": 2**30, "tpu": 2**30}  # far larger than any cache
_TRIES, _ROUNDS = 5, 4
_PROC, _CGROUPS = pathlib.Path("/proc"), pathlib.Path("/sys/fs/cgroup")
_PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ml-collections"),
    *("numpy", "inv_jax"),
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host_memory() -> tuple[int, int] | None:
    """Bytes of the host's memory: all, and what is still free for this process.

    A limit of the job's (a control group's, as batch systems and containers set it) counts as
    the memory there is. None where the system does not say.
    """
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if " kB" in line}
    if not {"MemTotal", "MemAvailable"} <= fields.keys():
        return None
    total, free = fields["MemTotal"], fields["MemAvailable"]
    for limit, used in _limits():
        total, free = min(total, limit), min(free, max(0, limit - used))
    return total, free


def _limits() -> Iterable[tuple[int, int]]:
    """Limit and use of the control groups that this process is in, from the root down.

    Pages of files that can be dropped at any moment are not use.
    """
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:  # version 2
            root, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = root / name.lstrip("/")
        for folder in (group, *group.parents):
            if root not in (folder, *folder.parents):
                break
            try:
                limit = int((folder / names[0]).read_text())
                used = int((folder / names[1]).read_text())
                stat = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
            except (OSError, ValueError):  # no limit reads "max"; in a container some are hidden
                continue
            yield limit, used - int(stat.get(names[2], 0))


def is_native(precision: str, device: jax.Device) -> bool | None:
    """Whether the hardware multiplies in this precision; None if it does not say.

    Without, bfloat16 is computed in float32 (and gains only memory), and tf32 is float32.
    """
    if precision == "float32" or device.platform == "tpu":
        return True
    if device.platform == "cpu":
        return precision == "bfloat16" and bool({"avx512_bf16", "amx_bf16"} & _cpu_flags())
    capability = str(getattr(device, "compute_capability", "")).split(".")[0]
    return int(capability) >= 8 if capability.isdecimal() else None  # from Ampere on


def _cpu_flags() -> set[str]:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def matrix_rate(
    precision: str, products: Iterable[Product] = (), device: jax.Device | None = None
) -> float:
    """Floating-point operations a second of the best of some matrix products.

    Args:
      precision: `float32`, `tf32` or `bfloat16`; both the latter accumulate in float32.
      products: Some that count beside large square ones: those of a step, for example.
      device: One of JAX's devices; None is the default one.
    """
    device = device or jax.local_devices()[0]
    squares = [Product(n, n, n) for n in _SQUARES.get(device.platform, _SQUARES["gpu"])]
    timers = {product: Timer(product, precision, device) for product in {*squares, *products}}
    return max(
        product.flops / timer.seconds() for product, timer in timers.items() for _ in range(_TRIES)
    )


def memory_rate(device: jax.Device | None = None) -> float:
    """Bytes a second of `x += 0.5 * y` on arrays far larger than the caches: read, read, written.

    Raises:
      InvError: If two such arrays do not fit.
    """
    device = device or jax.local_devices()[0]
    size = _ARRAY_BYTES.get(device.platform, 2**30) // 4
    triad = jax.jit(lambda x, y: x + np.float32(0.5) * y, donate_argnums=0)
    try:
        with jax.default_device(device):
            x, y = (jax.numpy.full(size, value, np.float32) for value in (0.0, 1.0))
            x = triad(x, y).block_until_ready()
            seconds = []
            for _ in range(_TRIES):
                start = time.perf_counter()
                for _ in range(_ROUNDS):  # sent one ahead of the other
                    x = triad(x, y)
                x.block_until_ready()
                seconds.append((time.perf_counter() - start) / _ROUNDS)
    except jax.errors.JaxRuntimeError as error:
        raise InvError(
            f"no room for {2 * 4 * size} bytes on {device.device_kind}, to measure its memory; "
            "is another process using it?"
        ) from error
    return 3 * 4 * size / min(seconds)
