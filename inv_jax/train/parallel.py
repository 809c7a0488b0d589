"""The only file that knows about devices: `pmap` over all local ones.

Arrays that live on every device have a leading axis of devices. To exchange `pmap` for `jax.jit`
with shardings, this is the file to change.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from inv_jax.types import InvError

AXIS = "devices"


class Devices:
    """A group of devices that share one step's rays."""

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        """Takes the given devices, or all local ones."""
        self._devices = list(devices or jax.local_devices())
        mesh = Mesh(np.array(self._devices), (AXIS,))
        self._sharding = NamedSharding(mesh, PartitionSpec(AXIS))

    @property
    def count(self) -> int:
        return len(self._devices)

    @property
    def platform(self) -> str:
        """`cpu`, `gpu` or `tpu`."""
        return self._devices[0].platform

    def describe(self) -> str:
        """For example `4 x cpu` or `8 x NVIDIA H100 80GB HBM3`."""
        return f"{self.count} x {self._devices[0].device_kind}"

    def share(self, total: int, what: str) -> int:
        """Divides a number evenly.

        Raises:
          InvError: If it does not divide.
        """
        if total < self.count or total % self.count:
            fitting = max(1, total // self.count) * self.count
            raise InvError(
                f"{what}={total} does not divide over {self.count} devices; "
                f"choose a multiple of {self.count}, for example {fitting}"
            )
        return total // self.count

    def replicate(self, tree: Any) -> Any:
        """Puts a copy of every array on every device, along a new leading axis."""

        def one(x: Any) -> jax.Array:
            # The new axis comes before the transfer: behind it, it would cost a second copy.
            shards = [jax.device_put(x[None], device) for device in self._devices]
            shape = (self.count, *shards[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, self._sharding, shards)

        return jax.tree.map(one, tree)

    def first(self, tree: Any) -> Any:
        """The first device's copy of replicated arrays, without the leading axis."""
        return jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree)

    def map(self, function: Callable[..., Any], *, donate: tuple[int, ...] = ()) -> Any:
        """Runs a function on every device; arguments and results have the leading axis.

        Collectives inside may use the axis name `AXIS`.
        """
        return jax.pmap(function, axis_name=AXIS, devices=self._devices, donate_argnums=donate)

    def memory_bytes(self) -> int | None:
        """Memory of one device that JAX may use; None where it does not say (a CPU)."""
        stats = self._devices[0].memory_stats()
        return stats.get("bytes_limit") if stats else None


@contextlib.contextmanager
def out_of_memory_as_error(settings: str) -> Iterator[None]:
    """Turns running out of device memory into an `InvError` that names what to lower."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
            raise InvError(
                f"out of device memory; lower {settings} ({' '.join(text.split())[:160]})"
            ) from error
        raise
