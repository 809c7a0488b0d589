"""Several processes as one job: joined from SLURM's environment, from flags, or not at all."""

import dataclasses
import os
import sys
from collections.abc import Mapping

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from inv_jax.train import liveness
from inv_jax.types import InvError

# A process that is silent for so long is taken for dead, and the others stop: a node that lost
# its power or its network. A process that ends, or is killed, is noticed at once (`liveness.py`).
_SILENCE_SECONDS = 60
_JOIN_SECONDS = 300
_LEAVE_SECONDS = 60
TRY_AGAIN = 75  # status of a process that stopped because of another one: EX_TEMPFAIL

_watch: liveness.Watch | None = None  # of this process; a job is joined once


@dataclasses.dataclass(frozen=True)
class Membership:
    """A process's place in a job of several.

    Attributes:
      coordinator: HOST:PORT where process 0 listens, as all processes reach it.
      num_processes: How many there are.
      process_id: Which of them this one is, from 0.
      local_devices: Indices of the node's visible devices that are this process's; None: all.
    """

    coordinator: str
    num_processes: int
    process_id: int
    local_devices: tuple[int, ...] | None = None

    def __post_init__(self):
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise InvError(f"--coordinator={self.coordinator}: expected HOST:PORT of process 0")
        if self.num_processes < 1 or not 0 <= self.process_id < self.num_processes:
            raise InvError(
                f"--process_id={self.process_id} of --num_processes={self.num_processes}; expected "
                "one of 0 .. num_processes - 1"
            )


def from_slurm(environment: Mapping[str, str]) -> Membership | None:
    """The place that SLURM gave to this process; None outside of a step of several tasks.

    A task may have all devices of its node or some of them: where several tasks of a node see the
    same devices, each takes its part; where SLURM shows each task its own, it takes these.

    Raises:
      InvError: If the environment is not that of a process that `srun` started.
    """
    num_processes = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if num_processes < 2:
        return None
    try:
        job, rank = int(environment["SLURM_JOB_ID"]), int(environment["SLURM_PROCID"])
        nodes = environment["SLURM_STEP_NODELIST"]
        per_node = environment["SLURM_STEP_TASKS_PER_NODE"]
        local_rank = int(environment["SLURM_LOCALID"])
        node = int(environment["SLURM_NODEID"])
    except (KeyError, ValueError) as error:
        raise InvError(
            f"SLURM's environment lacks {error}; start the processes with srun"
        ) from error
    port = environment.get("JAX_COORDINATOR_PORT") or str(61440 + job % 4096)
    return Membership(
        f"{first_node(nodes)}:{port}",
        num_processes,
        rank,
        _part(environment, local_rank, tasks_per_node(per_node)[node]),
    )


def first_node(nodes: str) -> str:
    """The first name of a list of nodes as SLURM writes it: `n[03-05,9],gpu1` begins at `n03`."""
    head, bracket, rest = nodes.partition("[")
    if "," in head or not bracket:
        return nodes.split(",", maxsplit=1)[0]
    return head + rest.replace("]", ",").replace("-", ",").split(",")[0]


def tasks_per_node(text: str) -> list[int]:
    """Tasks of each node, from SLURM's `4(x2),1`: [4, 4, 1]."""
    counts = []
    for part in text.split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts


def _part(environment: Mapping[str, str], local_rank: int, tasks: int) -> tuple[int, ...] | None:
    """This task's part of the devices that all tasks of its node see."""
    # With --gpus-per-task or a binding SLURM shows each task its own devices, numbered from 0.
    is_bound = "SLURM_GPUS_PER_TASK" in environment or "SLURM_TRES_PER_TASK" in environment
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    devices = [name for name in visible.split(",") if name]
    if tasks == 1 or is_bound or len(devices) < tasks:
        return None
    share = len(devices) // tasks
    return tuple(range(local_rank * share, (local_rank + 1) * share))


def join(membership: Membership | None) -> None:
    """Joins the other processes; alone, nothing happens. To be called before JAX is used.

    Raises:
      InvError: If they do not all come within five minutes.
    """
    if membership is None or membership.num_processes == 1:
        return
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    logging.info(
        "process %d of %d, coordinated at %s",
        membership.process_id,
        membership.num_processes,
        membership.coordinator,
    )
    try:
        jax.distributed.initialize(
            membership.coordinator,
            membership.num_processes,
            membership.process_id,
            membership.local_devices,
            cluster_detection_method="deactivate",
            initialization_timeout=_JOIN_SECONDS,
            heartbeat_timeout_seconds=_SILENCE_SECONDS,
            shutdown_timeout_seconds=_LEAVE_SECONDS,
        )
    except jax.errors.JaxRuntimeError as error:
        raise InvError(
            f"the {membership.num_processes} processes did not find each other at "
            f"{membership.coordinator}: start all of them, and check that the address of process "
            f"0 can be reached ({' '.join(str(error).split())[:160]})"
        ) from error
    _begin_watch(membership)


def is_joined() -> bool:
    """Whether this process is one of several."""
    return jax.distributed.is_initialized()


def leave(status: int) -> None:
    """Ends the process with a status, if it was joined to others; otherwise nothing happens.

    A process that failed does not wait for the others, who may be waiting for it: it is gone at
    once, they notice and stop.
    """
    if not is_joined():
        return
    if _watch is not None:
        _watch.leave(status)
    if not liveness.is_common(status):
        _exit(status)
    jax.distributed.shutdown()


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _stop_without(number: int, status: int | None) -> None:
    """What a process does whose partner is gone: the main thread may be waiting for it."""
    how = "is gone" if status is None else f"ended with status {status}"
    print(
        f"inv-jax{name()}: process {number} of this job {how}, so this one stops; what is stored "
        "stays, and the same command goes on from there",
        file=sys.stderr,
    )
    status = TRY_AGAIN if status is None else status
    if _watch is not None:
        _watch.leave(status)  # what the main process learned, the others have to know
    _exit(status)


def _begin_watch(membership: Membership) -> None:
    global _watch  # noqa: PLW0603
    _watch = liveness.Watch(membership.process_id, _stop_without)
    if membership.process_id == 0:
        listener = _watch.listen()
        multihost_utils.broadcast_one_to_all(np.int32(listener.getsockname()[1]))
        _watch.accept(listener, membership.num_processes - 1)
    else:
        port = int(multihost_utils.broadcast_one_to_all(np.int32(0)))
        _watch.connect(membership.coordinator.rpartition(":")[0], port)


def name() -> str:
    """What a process calls itself in messages: '' for the main one, else its number."""
    number = jax.process_index() if is_joined() else 0
    return f" (process {number})" if number else ""
