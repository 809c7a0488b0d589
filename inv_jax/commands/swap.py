"""`inv-jax swap`: layers of other frames in a base frame, one more at a time, and what is seen."""

import pathlib

from absl import flags, logging

from inv_jax import params as params_lib
from inv_jax.assembly import build
from inv_jax.assembly.playback import open_playback
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data.segments import name_of
from inv_jax.eval import report
from inv_jax.report.swap_sheet import Swap, SwapSheet
from inv_jax.train.refine import Refiner
from inv_jax.types import InvError, Params, Stopped

USAGE = "--workdir=runs/demo --base=5 --donors=6,9 [--swaps=1:11] [--refine_steps=100]"
REQUIRED = flagged.WORKDIR | {
    "base": "give the frame that layers are put into",
    "donors": "give the frames that layers are taken from, as 6,9 or 1:9",
}
_COLUMNS = ["donor", "distance", "kind", "swap", "psnr", "ssim"]


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_integer("base", None, "Frame that layers are put into.", flag_values=values)
    flags.DEFINE_list(
        "donors",
        None,
        "Frames that they come from, before or behind it: 6,9 or FIRST:LAST.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "swaps",
        [],
        "Numbers n of swapped layers, 0 to n - 1: 1,3 or FIRST:LAST; default: all but the last.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "density", True, "Also the whole trunk and the density head.", flag_values=values
    )
    flags.DEFINE_integer(
        "refine_steps", 0, "Steps that fine-tune the swapped layers, too.", flag_values=values
    )
    flags.DEFINE_integer("cam", None, "Camera; default: the held-out one.", flag_values=values)
    flags.DEFINE_string("out", "", "Folder; default: swap, beside the frames.", flag_values=values)
    flagged.define_data_path(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    flagged.join_processes(values)
    stop.install()
    playback = open_playback(flagged.workdir(values), values.data_path)
    given = pathlib.Path(values.out).expanduser().absolute()
    out = given if values.out else playback.folder / "swap"
    cam = playback.rig.shown_cam if values.cam is None else values.cam
    playback.rig.check_cams([cam], "--cam")
    if values.refine_steps < 0:
        raise InvError(f"--refine_steps={values.refine_steps}; want 0 or more")
    frames = playback.source.frames()
    base, donors = _stored([str(values.base)], frames)[0], _stored(values.donors, frames)
    same = playback.source.segment(base)
    donors = [donor for donor in donors if donor not in same]
    if not donors:
        raise InvError(
            f"--donors= names no frame but those of the base's network ({name_of(same)}); give "
            "some, as 6,9 or 1:9"
        )
    swaps = swaps_of(playback.source.params(base), values.swaps, values.density)
    refiner = None
    if values.refine_steps:
        step = build.stepper(playback.config, build.whole_model(playback.config), playback.devices)
        refiner = Refiner(step, playback.devices, stop)
    made = SwapSheet(playback, cam, base, out, stop)
    is_stopped = False
    try:
        for donor in donors:
            made.add(donor, swaps, refiner, values.refine_steps)
            logging.info("frame %d in frame %d is done", donor, base)
    except Stopped as stopped:
        logging.info("%s", stopped)
        is_stopped = True
    if playback.is_main:
        print(report.format_table(made.rows, _COLUMNS, has_summary=False))
        print(*made.write(), sep="\n")
    playback.wait_for_all()
    return stop.status if is_stopped else 0


def _numbers(texts: list[str], name: str) -> list[int]:
    """Numbers of a list with items as `6` or `1:4`, both ends included; each once, in order.

    Raises:
      InvError: If an item is neither.
    """
    numbers: list[int] = []
    for text in texts:
        first, _, last = text.partition(":")
        try:
            numbers += range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise InvError(
                f"--{name}={text}: {text!r} is no number; expected for example 6,9 or 1:4"
            ) from error
    return list(dict.fromkeys(numbers))


def _stored(texts: list[str], stored: list[int]) -> list[int]:
    frames = _numbers(texts, "donors")
    for frame in frames:
        if frame not in stored:
            raise InvError(f"frame {frame}: stored frames are {stored[0]} to {stored[-1]}")
    return frames


def swaps_of(params: Params, texts: list[str], density: bool) -> list[Swap]:
    """The swaps that are asked for, and the trunk with the density head.

    Args:
      params: Of the base.
      texts: Items as `3` or `1:11`; none: from the first layer alone to all but the last.
      density: Whether to add the trunk with the density head; nothing without such a head.

    Raises:
      InvError: If an item is not of that form, or the model has fewer layers.
    """
    numbers = params_lib.layer_numbers(params)
    wanted = _numbers(texts, "swaps") if texts else list(range(1, len(numbers))) or [1]
    for count in wanted:
        if not 1 <= count <= len(numbers):
            raise InvError(f"--swaps={count}: the model has {len(numbers)} layers; want 1 to that")
    if not wanted:
        raise InvError(f"--swaps={','.join(texts)} asks for none; want for example 1:3")
    swaps = [Swap(f"0-{n}", tuple(range(n))) for n in wanted]
    if density and "density" in numbers:
        trunk = tuple(i for name, i in numbers.items() if name.startswith("layer_"))
        swaps.append(Swap(f"0-{len(trunk)}_density", (*trunk, numbers["density"])))
    return swaps
