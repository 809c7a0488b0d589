"""Several processes as one job: joined from SLURM's environment, from flags, or not at all."""

import dataclasses
import os
import sys
import threading
import time
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
_LEAVE_SECONDS = 600  # the main process may still be writing
_GRACE_SECONDS = 20  # for what a process is writing when another one has failed
TRY_AGAIN = 75  # status of a process that stopped because of another one: EX_TEMPFAIL

# Of this process; a job is joined once.
_membership: "Membership | None" = None
_watch: liveness.Watch | None = None


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
    if "SLURM_HET_SIZE" in environment:
        raise InvError(
            "this is one of several components of a SLURM job, whose tasks do not know their "
            "number; give --coordinator, --num_processes and --process_id"
        )
    try:
        job, rank = int(environment["SLURM_JOB_ID"]), int(environment["SLURM_PROCID"])
        node = first_node(environment["SLURM_STEP_NODELIST"])
        tasks = tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
        tasks_here = tasks[int(environment["SLURM_NODEID"])]
        local_rank = int(environment["SLURM_LOCALID"])
    except (KeyError, ValueError, IndexError) as error:
        raise InvError(
            f"SLURM's environment is not that of a task ({type(error).__name__}: {error}); start "
            "the processes with srun"
        ) from error
    port = environment.get("JAX_COORDINATOR_PORT") or str(61440 + job % 4096)
    return Membership(
        f"{node}:{port}", num_processes, rank, _part(environment, local_rank, tasks_here)
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
    """This task's part of the devices that all tasks of its node see; None: all that it sees."""
    devices = _names(environment.get("CUDA_VISIBLE_DEVICES", ""))
    if tasks == 1 or not devices or _is_bound(environment, len(devices)):
        return None
    share, rest = divmod(len(devices), tasks)
    if not share:
        raise InvError(
            f"{tasks} tasks of a node see {len(devices)} devices; start one task for each device "
            "at most"
        )
    if rest:
        logging.warning("%d of %d devices are left over by %d tasks", rest, len(devices), tasks)
    return tuple(range(local_rank * share, (local_rank + 1) * share))


def _is_bound(environment: Mapping[str, str], num_visible: int) -> bool:
    """Whether SLURM shows this task devices of its own, and not all those of the step's node."""
    of_step = _names(environment.get("SLURM_STEP_GPUS", ""))
    if of_step:
        return num_visible < len(of_step)
    # Before SLURM names the step's devices: by the options that bind.
    return "SLURM_GPUS_PER_TASK" in environment or "gpu" in environment.get(
        "SLURM_TRES_PER_TASK", ""
    )


def _names(text: str) -> list[str]:
    """Devices of a list as SLURM and CUDA write it: `0,2`, `0-3`, or names (`GPU-8f3a-...`)."""
    names = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        is_range = first.isdecimal() and last.isdecimal()
        names += [str(n) for n in range(int(first), int(last) + 1)] if is_range else [part]
    return names


def join(membership: Membership | None) -> None:
    """Joins the other processes; alone, nothing happens. To be called before JAX is used.

    A process whose partners do not come within five minutes ends with one line and status 2.

    Raises:
      InvError: If they cannot work together.
    """
    global _membership  # noqa: PLW0603
    if membership is None or membership.num_processes == 1:
        return
    _membership = membership
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    logging.info(
        "process %d of %d, coordinated at %s",
        membership.process_id,
        membership.num_processes,
        membership.coordinator,
    )
    # JAX itself would end the process with a trace of native frames, so it has to wait longer.
    timer = threading.Timer(_JOIN_SECONDS, _not_found)
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            membership.coordinator,
            membership.num_processes,
            membership.process_id,
            membership.local_devices,
            cluster_detection_method="deactivate",
            initialization_timeout=2 * _JOIN_SECONDS,
            heartbeat_timeout_seconds=_SILENCE_SECONDS,
            shutdown_timeout_seconds=_LEAVE_SECONDS,
        )
        here, everywhere = jax.local_device_count(), jax.device_count()
    finally:
        timer.cancel()
    if everywhere != here * membership.num_processes:
        raise InvError(
            f"{membership.num_processes} processes have {everywhere} devices together, this one "
            f"{here}; give each process the same number"
        )
    try:
        _begin_watch(membership)
    except OSError as error:
        raise InvError(
            f"the processes found each other at {membership.coordinator}, but not at the port "
            f"by which they watch each other ({error}); allow connections between the nodes"
        ) from error


def _not_found() -> None:
    assert _membership is not None
    print(
        f"inv-jax{name()}: the {_membership.num_processes} processes did not find each other at "
        f"{_membership.coordinator} within {_JOIN_SECONDS} s; start all of them, and check that "
        "the address of process 0 can be reached",
        file=sys.stderr,
    )
    _exit(2)


def is_joined() -> bool:
    """Whether this process is one of several."""
    return jax.distributed.is_initialized()


def leave(status: int, *, at_once: bool = False) -> None:
    """Ends the process with a status, if it was joined to others; otherwise nothing happens.

    A process that failed, or is to be gone `at_once`, does not wait for the others, who may be
    waiting for it: it says so, they stop.
    """
    if not is_joined():
        return
    if at_once or not liveness.is_common(status):
        if _watch is not None and not at_once:
            _watch.leave(status)
        _exit(status)
    if _watch is not None:
        _watch.leave(status)
    jax.distributed.shutdown()


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _stop_without(number: int, status: int | None) -> None:
    """What a process does whose partner is gone: the main thread may be waiting for it."""
    if status is not None:
        # Perhaps this process finds the same fault, and is writing what it has.
        time.sleep(_GRACE_SECONDS)
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
        _watch.connect(membership.coordinator.rpartition(":")[0].strip("[]"), port)


def name() -> str:
    """What a process calls itself in messages: '' for the main one, else its number."""
    number = _membership.process_id if _membership is not None else 0
    return f" (process {number})" if number else ""
