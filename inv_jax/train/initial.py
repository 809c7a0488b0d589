"""What the first frame starts from if another run has it already: some of that run's params."""

import pathlib
from collections.abc import Sequence

from absl import logging

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles
from inv_jax.types import InvError, Params


def from_run(
    fresh: Params, workdir: pathlib.Path, known: Roles, *, frame: int, roles: Sequence[str]
) -> tuple[Params, int]:
    """Params of another run in those of some roles, and random ones elsewhere.

    Layers of the other run are found by their names, whatever their role was there.

    Args:
      fresh: The random params; they say which layer has which role.
      workdir: Of the other run.
      known: The roles that the model has.
      frame: Which one of it; 0 for its newest.
      roles: What is taken of it; `fresh` need not have all of them, but one at least.

    Returns:
      Params, and the other run's frame.

    Raises:
      InvError: If there is no such role or no such frame, or its layers have other shapes.
    """
    wanted = set(roles)
    there = {params_lib.role_of(path) for path in params_lib.flatten(fresh)}
    if not wanted & there or not wanted <= set(known.all):
        raise InvError(
            f"train.init_roles={tuple(roles)}: want one or more of the model's, "
            f"{', '.join(known.all)}, to be taken from train.init_from"
        )
    if left := _left_out(fresh, wanted):
        logging.warning(
            "train.init_roles=%s takes no layer of %s, which begin at random; to take them, add "
            "some of %s",
            *(tuple(roles), ", ".join(left), ", ".join(sorted(there - wanted))),
        )
    store = FrameStore(workdir)
    try:
        frames = store.frames()
        if not frames:
            raise InvError("it has no stored frames; give the workdir of a trained run")
        frame = frame or frames[-1]
        donor = store.params(frame)
    except InvError as error:
        raise InvError(f"train.init_from={workdir}: {error}") from error
    finally:
        store.close()
    try:
        return params_lib.swap(fresh, donor, roles=wanted & there), frame
    except InvError as error:
        raise InvError(f"train.init_from={workdir}: {error}") from error


def _left_out(params: Params, wanted: set[str]) -> list[str]:
    """Networks of which no layer has a wanted role."""
    leaves = [path.split("/") for path in params_lib.flatten(params)]
    taken = {network for network, role, *_ in leaves if role in wanted}
    return sorted({network for network, *_ in leaves} - taken)
