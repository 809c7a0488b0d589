"""Flags that several commands have, and what they mean."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from inv_jax.assembly.playback import Playback
from inv_jax.data import masks
from inv_jax.data.segments import name_of
from inv_jax.settings import command_line
from inv_jax.train import hosts
from inv_jax.types import InvError

WORKDIR = {"workdir": "give the folder of the run"}
CONFIG = {"config": "give a config file, for example configs/demo.py"}


def define_workdir(
    values: flags.FlagValues, *, or_video: bool = False, or_textures: bool = False
) -> None:
    """`--workdir`; for commands that only look, it may also be an .inv file, or textures."""
    others = [", or an .inv file"] * or_video + [", or a folder of textures"] * or_textures
    text = f"Folder of the run{''.join(others)}."
    flags.DEFINE_string("workdir", None, text, flag_values=values)


def workdir(values: flags.FlagValues) -> pathlib.Path:
    return pathlib.Path(values.workdir).expanduser().absolute()


def define_config(
    values: flags.FlagValues,
    argv: list[str],
    load: Callable[[str], ml_collections.ConfigDict] = command_line.load,
) -> None:
    """`--config=FILE:NAME`, and `--config.train.steps=100` as each of its fields.

    It is read here, since which fields there are depends on it.

    Args:
      values: Where the flags are defined.
      argv: The command line; `--config` is taken out of it, old names of fields are made new.
      load: Reads the config that `--config` names.

    Raises:
      InvError: If there is no such config, or no such field.
    """
    text = "Config file, with an argument for the scene: configs/n3dv.py:flame_salmon_1."
    argv[:] = flags.FLAGS.read_flags_from_files(argv, force_gnu=False)
    given = _take(argv, "config")
    if given is None:
        flags.DEFINE_string("config", None, text, flag_values=values)
        return
    config = command_line.prepared(load(given), argv)
    config_flags.DEFINE_config_dict("config", config, text, values, sys_argv=argv)


def _take(argv: list[str], name: str) -> str | None:
    """Takes a flag out of the command line; its value, the last one if it is there again."""
    value, place = None, 1
    while place < len(argv) and argv[place] != "--":
        flag, has_value, text = argv[place].partition("=")
        if flag not in (f"--{name}", f"-{name}"):
            place += 1
            continue
        del argv[place]
        if not has_value and place < len(argv):
            text = argv.pop(place)
        value = text
    return value


def define_processes(values: flags.FlagValues) -> None:
    """Flags of a job of several processes, for commands that share their work among them."""
    flags.DEFINE_string(
        "coordinator",
        "",
        "HOST:PORT of process 0, for a job of several processes. Under SLURM it is not needed.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes",
        None,
        "Processes of the job; 1: this one alone, whatever SLURM's environment says.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "process_id", 0, "Which of them this is; process 0 writes.", flag_values=values
    )


def join_processes(values: flags.FlagValues) -> None:
    """Joins the job's other processes: as the flags say, or else as SLURM does, or none.

    Raises:
      InvError: If the flags contradict each other, or the others do not come.
    """
    count = values.num_processes
    if count == 1:
        return
    if (count is None) == bool(values.coordinator):
        raise InvError(
            f"--num_processes={count} and --coordinator={values.coordinator!r}: give both, the "
            "same to all processes, or none of them"
        )
    if count is None:
        place = hosts.from_slurm(os.environ)
    else:
        place = hosts.Membership(values.coordinator, count, values.process_id)
    hosts.join(place)
    if place is not None and place.process_id > 0:
        logging.set_verbosity(logging.WARNING)  # what process 0 says is said for all


def define_stored_frames(values: flags.FlagValues) -> None:
    """`--frames` and `--data_path`, for commands that look at a run."""
    define_data_path(values)
    define_frames(values)


def define_data_path(values: flags.FlagValues) -> None:
    """`--data_path`, where the images of a run's capture are."""
    flags.DEFINE_string(
        "data_path", "", "The capture's folder, if it has moved since.", flag_values=values
    )


def define_masks(values: flags.FlagValues) -> None:
    """`--masks` and `--mask_polarity`, of commands that measure; see `with_masks`."""
    flags.DEFINE_string(
        "masks",
        "",
        "Masks of what moves, as data.masks: a pattern in the capture's folder, or a folder; "
        "empty: those of the run.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "mask_polarity",
        None,
        masks.POLARITIES,
        "What non-zero means in masks; default: as the run.",
        flag_values=values,
    )


def with_masks(playback: Playback, values: flags.FlagValues) -> Playback:
    """The playback with the masks that the flags of `define_masks` name."""
    if not values.masks and values.mask_polarity is None:
        return playback
    config = playback.config.copy_and_resolve_references()
    with config.unlocked():
        config.data.masks = values.masks or config.data.masks
        config.data.mask_polarity = values.mask_polarity or config.data.mask_polarity
    return dataclasses.replace(playback, config=config.lock())


def define_frames(values: flags.FlagValues) -> None:
    """`--frames`, see `select_frames`."""
    flags.DEFINE_string(
        "frames", "", "Frames, as FIRST:LAST, both included; empty: all stored.", flag_values=values
    )


def select_frames(stored: list[int], text: str) -> list[int]:
    """Stored frames within FIRST:LAST (both included); all of them for an empty text.

    Raises:
      InvError: If the text is not of that form, or names frames that are not stored.
    """
    if not text:
        return stored
    first, _, last = text.partition(":")
    try:
        wanted = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise InvError(f"--frames={text}: expected FIRST:LAST, for example 1:30") from error
    missing = [frame for frame in wanted if frame not in stored]
    if missing or not wanted:
        raise InvError(
            f"--frames={text}: stored frames are {stored[0]} to {stored[-1]}; choose among them"
        )
    return list(wanted)


def select_segments(stored: list[range], text: str) -> list[range]:
    """Segments within FIRST:LAST, see `select_frames`.

    Raises:
      InvError: As there, or if the text cuts a segment.
    """
    frames = set(select_frames([frame for segment in stored for frame in segment], text))
    chosen = [segment for segment in stored if not frames.isdisjoint(segment)]
    for segment in chosen:
        if not frames.issuperset(segment):
            raise InvError(
                f"--frames={text}: {name_of(segment)} share their params; choose all of them, or "
                "none"
            )
    return chosen


def select_cams(text: str, train: tuple[int, ...], test: tuple[int, ...]) -> list[int]:
    """Camera indices from `test`, `train`, `all` or a list as `0,3`; each of them once.

    Where none is held out, `test` are those that are trained on: the one that is shown is there.

    Raises:
      InvError: If it is none of these, or a camera is out of range.
    """
    named = {"test": test or train, "train": train, "all": tuple(sorted(train + test))}
    if text in named:
        if not named[text]:
            raise InvError(
                f"--cams={text}: the run has none of these; choose all, or indices as 0,3"
            )
        return list(named[text])
    try:
        cams = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvError(f"--cams={text}: expected test, train, all, or indices as 0,3") from error
    unknown = [cam for cam in cams if cam not in named["all"]]
    if unknown:
        raise InvError(f"--cams={text}: cameras are 0 to {len(named['all']) - 1}")
    return list(dict.fromkeys(cams))
