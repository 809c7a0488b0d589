"""The console script `inv-jax`: train, eval, render.

    inv-jax train  --config=configs/demo.py --workdir=runs/demo [--config.train.steps=500 ...]
    inv-jax eval   --workdir=runs/demo [--cams=test|train|all|0,3] [--out=table.json]
    inv-jax render --workdir=runs/demo --path=spiral|test --out=video.mp4

An expected mistake prints one line and exits with status 2.
"""

import logging as std_logging
import pathlib
import signal
import sys
import types
from collections.abc import Callable, Sequence

import jax
from absl import flags, logging
from ml_collections import config_flags

from inv_jax import build
from inv_jax.eval import commands
from inv_jax.types import InvError, Stopped

_USAGE_ERROR = 2


def _quiet_libraries() -> None:
    """Keeps the routine notes of libraries out of the log; their warnings stay.

    Of orbax nothing stays: it raises what goes wrong, and logs a traceback of it before.
    """

    def is_wanted(record: std_logging.LogRecord) -> bool:
        path = pathlib.Path(record.pathname)
        ours = pathlib.Path(__file__).parent in path.parents
        return ours or (record.levelno >= std_logging.WARNING and "orbax" not in path.parts)

    logging.get_absl_handler().addFilter(is_wanted)


class _Stop:
    """Remembers the first signal that asks the run to stop; a second one ends it at once."""

    def __init__(self):
        self.signal: int | None = None

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        logging.info("%s: storing the state and leaving", signal.Signals(number).name)

    def __call__(self) -> bool:
        return self.signal is not None


def _workdir(values: flags.FlagValues) -> pathlib.Path:
    return pathlib.Path(values.workdir).expanduser().absolute()


def _define_train(values: flags.FlagValues, argv: list[str]) -> None:
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Config file, with an argument for the scene: configs/n3dv.py:flame_salmon_1.",
        lock_config=True,
        flag_values=values,
        sys_argv=argv,
    )


def _train(values: flags.FlagValues) -> int:
    workdir = _workdir(values)
    stop = _Stop()
    stop.install()
    try:
        trainer, close = build.trainer(values.config, workdir, stop)
        try:
            trainer.train()
        finally:
            close()
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return 128 + (stop.signal or signal.SIGTERM)
    return 0


def _define_eval(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_string(
        "cams", "test", "Cameras: test, train, all, or indices as 0,3.", flag_values=values
    )
    flags.DEFINE_string("out", "", "Writes the rows to this JSON file too.", flag_values=values)
    _define_frames(values)


def _define_frames(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "data_path", "", "The capture's folder, if it has moved since.", flag_values=values
    )
    flags.DEFINE_string(
        "frames", "", "Frames, as FIRST:LAST, both included; empty: all stored.", flag_values=values
    )


def _eval(values: flags.FlagValues) -> int:
    playback = build.playback(_workdir(values), values.data_path)
    rows, table = commands.evaluate(playback, cams=values.cams, frames=values.frames)
    print(table)
    if values.out:
        commands.write_rows(pathlib.Path(values.out), rows)
    return 0


def _define_render(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_enum("path", "spiral", ["spiral", "test"], "Camera path.", flag_values=values)
    flags.DEFINE_string(
        "out", "video.mp4", "Video file; the depth goes to NAME_depth.", flag_values=values
    )
    flags.DEFINE_float("fps", None, "Frames per second; default: the config's.", flag_values=values)
    _define_frames(values)


def _render(values: flags.FlagValues) -> int:
    playback = build.playback(_workdir(values), values.data_path)
    paths = commands.render(
        playback,
        path=values.path,
        frames=values.frames,
        out=pathlib.Path(values.out),
        fps=values.fps,
    )
    for path in paths:
        print(path)
    return 0


_COMMANDS: dict[str, tuple[Callable[..., None], Callable[[flags.FlagValues], int]]] = {
    "train": (_define_train, _train),
    "eval": (_define_eval, _eval),
    "render": (_define_render, _render),
}


def _parse(command: str, argv: list[str]) -> flags.FlagValues:
    """Flags of a command.

    Raises:
      InvError: For a flag, a config file or an override that cannot be right.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    for name in ("verbosity", "stderrthreshold"):
        values[name] = flags.FLAGS[name]
    define, _ = _COMMANDS[command]
    define(values, argv)
    try:
        rest = values(argv)
        if "config" in values and values.config is not None:
            values.config.to_dict()  # a file that could not be read only says so here
    # A config file is the user's code: it may raise anything.
    except Exception as error:
        raise InvError(_last_line(error)) from error
    if len(rest) > 1:
        raise InvError(f"unexpected argument {rest[1]!r}; flags are written --name=value")
    if values.workdir is None:
        raise InvError("--workdir is missing; give the folder of the run")
    if "config" in values and values.config is None:
        raise InvError("--config is missing; give a config file, for example configs/demo.py")
    return values


def _last_line(error: Exception) -> str:
    """The line of a long message that says what is wrong."""
    if error.args and isinstance(error.args[0], KeyError):  # its `str` is a `repr`
        return f"the config has no field {' '.join(error.args[0].args[0].split())}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return text.removeprefix(f"{InvError.__module__}.{InvError.__qualname__}: ")


def _make_configs_importable(argv: Sequence[str]) -> None:
    """Lets a config file say `from configs import base`, wherever the command runs."""
    folders = [pathlib.Path(__file__).parents[1]]
    for argument in argv:
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "config" and value:
            folders.append(pathlib.Path(value.split(":")[0]).absolute().parent.parent)
    for folder in folders:
        if (folder / "configs").is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help", "help"} & set(argv[1:]):
        print(__doc__)
        return 0
    command = argv[1] if len(argv) > 1 else ""
    if command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        print(
            f"inv-jax: {command!r} is no command; expected one of {known} (see inv-jax --help)",
            file=sys.stderr,
        )
        return _USAGE_ERROR
    return _run(command, argv)


def _run(command: str, argv: list[str]) -> int:
    """Runs a known command; an expected error is one line on the standard error."""
    flags.FLAGS.mark_as_parsed()  # absl notes on the standard error that they are not
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    _quiet_libraries()
    try:
        _make_configs_importable(argv)
        values = _parse(command, [argv[0], *argv[2:]])
        _, run = _COMMANDS[command]
        return run(values)
    except InvError as error:
        print(f"inv-jax: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except OSError as error:  # a folder that cannot be written to, a full disk
        print(f"inv-jax: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("inv-jax: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"inv-jax: out of device memory: {str(error)[:200]}", file=sys.stderr)
        return _USAGE_ERROR
