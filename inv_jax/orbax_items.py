"""Items of an orbax manager: how they are written and read here, and what their errors say."""

import contextlib
import errno
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from inv_jax import params as params_lib
from inv_jax.types import InvError

METADATA = "metadata"

Leaves = Mapping[str, np.ndarray]  # by path


def manager(folder: pathlib.Path, items: tuple[str, ...], keep: int | None, create: bool) -> Any:
    """A manager of steps that hold these items; `create` makes its folder, and tidies it up."""
    if create:  # orbax makes a folder only when all processes of a job come to it
        folder.mkdir(parents=True, exist_ok=True)
    # Of a job of several processes only one has frames on disk: it is not to wait for the others.
    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=process,
        active_processes={process},
        barrier_sync_key_prefix=f"process_{process}",
    )
    handlers = {name: ocp.PyTreeCheckpointHandler(multiprocessing_options=alone) for name in items}
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=False,
        multiprocessing_options=alone,
        step_format_fixed_length=6,
        cleanup_tmp_directories=create,
        enable_async_checkpointing=False,
    )
    return ocp.CheckpointManager(
        folder.absolute(),
        options=options,
        item_handlers={
            **handlers,
            METADATA: ocp.JsonCheckpointHandler(multiprocessing_options=alone),
        },
    )


def save_args(items: Mapping[str, Leaves], metadata: Mapping[str, Any]) -> ocp.args.Composite:
    """What a step is to hold."""
    trees = {name: ocp.args.PyTreeSave(params_lib.nest(leaves)) for name, leaves in items.items()}
    return ocp.args.Composite(**trees, metadata=ocp.args.JsonSave(dict(metadata)))


@contextlib.contextmanager
def one_line_errors(what: str, folder: pathlib.Path) -> Iterator[None]:
    """Turns a full disk and an unreadable file into an `InvError`."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in text or "quota" in text.lower():
            raise InvError(
                f"the disk of {folder} is full: {what} was not written; all frames before it "
                "are safe: free some space and run the same command again"
            ) from error
        raise InvError(f"{what} in {folder} failed: {text[:300]}") from error


def read(manager: Any, folder: pathlib.Path, number: int, item: str) -> dict[str, np.ndarray]:
    """The leaves of an item of a step, by path."""
    with one_line_errors(f"reading {item} of {number}", folder):
        tree = manager.item_metadata(number)[item].tree
        as_numpy = ocp.checkpoint_utils.construct_restore_args(tree)
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), as_numpy)
        args = ocp.args.Composite(**{item: ocp.args.PyTreeRestore(restore_args=as_numpy)})
        return params_lib.flatten(manager.restore(number, args=args)[item])
