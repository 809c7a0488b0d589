"""The only file that knows about devices: `pmap` over those of all processes.

A job is one process, or several that were joined (`hosts.py`); every process runs the same
program and feeds its own devices. Arrays that live on the devices have a leading axis: the local
devices. To exchange `pmap` for `jax.jit` with shardings, this is the file to change.

Whatever communicates (`map`ped functions with collectives, `agree`, `from_main`, `gather`) must
be called by all processes in the same order, so by the main thread alone.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from inv_jax.types import InvError

AXIS = "devices"

T = TypeVar("T")


class Devices:
    """A group of devices, of one process or several, that share one step's rays."""

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        """Takes the given devices, or all there are."""
        self._devices = list(devices or jax.devices())
        mine = jax.process_index()
        self._local = [device for device in self._devices if device.process_index == mine]
        self._num_processes = len({device.process_index for device in self._devices})
        mesh = Mesh(np.array(self._local), (AXIS,))
        self._sharding = NamedSharding(mesh, PartitionSpec(AXIS))

    @property
    def count(self) -> int:
        """How many devices there are, over all processes."""
        return len(self._devices)

    @property
    def num_processes(self) -> int:
        """How many processes feed them."""
        return self._num_processes

    @property
    def local_places(self) -> list[int]:
        """Which of them are this process's: places on the axis `AXIS`, in [0, count)."""
        return [place for place, device in enumerate(self._devices) if device in self._local]

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return jax.process_index() == 0

    @property
    def platform(self) -> str:
        """`cpu`, `gpu` or `tpu`."""
        return self._devices[0].platform

    def describe(self) -> str:
        """For example `4 x cpu` or `16 x NVIDIA H100 80GB HBM3 in 2 processes`."""
        where = f" in {self._num_processes} processes" if self._num_processes > 1 else ""
        return f"{self.count} x {self._devices[0].device_kind}{where}"

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
        """Puts a copy of every array on every local device, along a new leading axis."""
        return self.join([self.put(tree, place) for place in range(len(self._local))])

    def put(self, tree: Any, place: int) -> Any:
        """Puts arrays on one local device, along a new leading axis of 1; see `join`."""
        device = self._local[place]
        # The new axis comes before the transfer: behind it, it would cost a second copy.
        return jax.tree.map(lambda x: jax.device_put(x[None], device), tree)

    def join(self, parts: Sequence[Any]) -> Any:
        """One array of what lies on each local device (`put`), for `map`; nothing is copied."""

        def one(*shards: jax.Array) -> jax.Array:
            shape = (len(shards), *shards[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, self._sharding, list(shards))

        return jax.tree.map(one, *parts)

    def parts(self, tree: Any) -> list[Any]:
        """What lies on each local device, with a leading axis of 1; the inverse of `join`."""

        def part(x: jax.Array, device: jax.Device) -> jax.Array:
            return next(shard.data for shard in x.addressable_shards if shard.device == device)

        return [jax.tree.map(lambda x, d=device: part(x, d), tree) for device in self._local]

    def first(self, tree: Any) -> Any:
        """The first local device's copy of replicated arrays, without the leading axis."""
        return jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree)

    def map(self, function: Callable[..., Any], *, donate: tuple[int, ...] = ()) -> Any:
        """Runs a function on every device; arguments and results have the leading axis.

        Collectives inside may use the axis name `AXIS`, which spans the processes.
        """
        return jax.pmap(function, axis_name=AXIS, devices=self._devices, donate_argnums=donate)

    def gather(self, tree: Any) -> Any:
        """Results of `map` from the devices of all processes, on each host.

        Args:
          tree: Arrays with a leading axis of local devices.

        Returns:
          Numpy arrays with a leading axis of all devices.
        """
        local = jax.tree.map(np.asarray, tree)
        if self._num_processes == 1:
            return local
        return multihost_utils.process_allgather(local, tiled=True)

    # Between processes.

    def agree(self, stop: bool, *plans: int) -> tuple[bool, *tuple[int, ...]]:
        """What all processes do next: whether any was asked to stop, and the main one's plans."""
        if self._num_processes == 1:
            return stop, *plans
        told = multihost_utils.process_allgather(np.array([stop, *plans], np.int32))
        return bool(told[:, 0].any()), *(int(plan) for plan in told[0, 1:])

    def from_main(self, function: Callable[[], T]) -> T:
        """Calls a function in the main process; all get what it returns, or its error.

        Args:
          function: Returns something that can be pickled.

        Raises:
          InvError: In all processes, if the function raised one.
        """
        if self._num_processes == 1:
            return function()
        message = b""
        if self.is_main:
            try:
                message = pickle.dumps((function(), None))
            except InvError as error:
                message = pickle.dumps((None, str(error)))
        size = multihost_utils.broadcast_one_to_all(np.int64(len(message)))
        data = np.zeros(int(size), np.uint8)
        if self.is_main:
            data[:] = np.frombuffer(message, np.uint8)
        value, error = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(data)))
        if error is not None:
            raise InvError(error)
        return value

    # Memory of one device, in bytes; None where the platform does not say (a CPU).

    def memory_bytes(self) -> int | None:
        """What JAX may use."""
        return self._memory("bytes_limit")

    def peak_memory_bytes(self) -> int | None:
        """The most that was in use at a time, so far."""
        return self._memory("peak_bytes_in_use")

    def _memory(self, name: str) -> int | None:
        stats = self._local[0].memory_stats()
        return stats.get(name) if stats else None


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
