"""The console script `inv-jax`: finds the command, reads its flags, reports its errors.

An expected mistake prints one line and exits with status 2.
"""

import importlib
import inspect
import logging as std_logging
import pathlib
import signal
import sys
import textwrap
import time
import traceback
import types
from collections.abc import Sequence

import jax
from absl import flags, logging

from inv_jax.commands.stop import Stop
from inv_jax.train import hosts
from inv_jax.types import InvError

_USAGE_ERROR = 2
_LOSS_SECONDS = 2.0


def _quiet_libraries() -> None:
    """Keeps the routine notes of libraries out of the log; their warnings stay.

    Of orbax nothing stays: it raises what goes wrong, and logs a traceback of it before.
    """

    def is_wanted(record: std_logging.LogRecord) -> bool:
        path = pathlib.Path(record.pathname)
        ours = pathlib.Path(__file__).parent in path.parents
        return ours or (record.levelno >= std_logging.WARNING and "orbax" not in path.parts)

    logging.get_absl_handler().addFilter(is_wanted)


_COMMANDS = (
    "train",
    "eval",
    "render",
    "pack",
    "masks",
    "config",
    "doctor",
    "encode",
    "decode",
    "export",
    "info",
    "swap",
    "partition",
    "report",
    "publish",
    "play",
    "video",
)
_MODULES = {"eval": "evaluate"}  # which are not called as their command


def _module(command: str) -> types.ModuleType:
    """What carries out a command; one loads no libraries that only the others need."""
    return importlib.import_module(f"inv_jax.commands.{_MODULES.get(command, command)}")


def _parse(command: str, argv: list[str]) -> flags.FlagValues:
    """Flags of a command.

    Raises:
      InvError: For a flag, a config file or an override that cannot be right.
    """
    values, module = flags.FlagValues(), _module(command)
    for name in ("verbosity", "stderrthreshold"):
        values[name] = flags.FLAGS[name]
    try:
        module.define(values, argv)
        rest = values(argv)
    # A config file is the user's code: it may raise anything.
    except Exception as error:
        raise InvError(_last_line(error)) from error
    _take_positional(values, getattr(module, "POSITIONAL", ""), rest)
    if len(rest) > 1:
        raise InvError(f"unexpected argument {rest[1]!r}; flags are written --name=value")
    for name, advice in module.REQUIRED.items():
        if values[name].value is None:
            raise InvError(f"--{name} is missing; {advice}")
    return values


def _take_positional(values: flags.FlagValues, name: str, rest: list[str]) -> None:
    """Moves arguments without a name from `rest` into the flag `name` that needs none, if any.

    A list flag takes all of them, any other flag takes one; one that was named takes none.
    """
    if not name or len(rest) < 2 or values[name].value is not None:
        return
    if isinstance(values[name].parser, flags.ListParser):
        values[name].value, rest[1:] = rest[1:], []
    elif len(rest) == 2:
        values[name].value = rest.pop()


def _last_line(error: Exception) -> str:
    """The line of a long message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return text.removeprefix(f"{InvError.__module__}.{InvError.__qualname__}: ")


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"    inv-jax {name:{width}} {_module(name).USAGE}" for name in _COMMANDS]
    more = "Each says more, with all its flags: inv-jax train --help"
    return "\n".join(["The commands of inv-jax:", "", *lines, "", more])


def _help_of(command: str) -> str:
    """What a command does, how to call it, and its flags."""
    module, values = _module(command), flags.FlagValues()
    general = set(values)  # absl's own
    module.define(values, [])
    lines = [_described(values[name]) for name in sorted(set(values) - general)]
    usage = f"    inv-jax {command} {module.USAGE}"
    return "\n".join([inspect.cleandoc(module.__doc__ or ""), "", usage, "", *lines])


def _described(flag: flags.Flag) -> str:
    """`    --name: help (default: value)`, in lines of a terminal."""
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    default = (flag.default_as_str or "").strip("'")
    known = f" (default: {default})" if default not in ("", "false", "None") else ""
    text = f"{name}: {' '.join(flag.help.split())}{known}"
    return textwrap.fill(text, 96, initial_indent=" " * 4, subsequent_indent=" " * 8)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help", "help"} & set(argv[1:]):
        print(_help_of(argv[1]) if argv[1] in _COMMANDS else _help())
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
    """Runs a known command, and leaves the job's other processes if there are any."""
    try:
        status = _run_alone(command, argv)
    except BaseException:
        if hosts.is_joined():
            time.sleep(_LOSS_SECONDS)  # if another process is gone, that is said instead
            traceback.print_exc()  # Python does not get to it
            hosts.leave(1)
        raise
    hosts.leave(status)
    return status


def _run_alone(command: str, argv: list[str]) -> int:
    """Runs a known command; an expected error is one line on the standard error."""
    flags.FLAGS.mark_as_parsed()  # absl notes on the standard error that they are not
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    _quiet_libraries()
    try:
        values = _parse(command, [argv[0], *argv[2:]])
        return _module(command).run(values, Stop())
    except InvError as error:
        print(f"inv-jax{hosts.name()}: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except OSError as error:  # a folder that cannot be written to, a full disk
        print(f"inv-jax: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("inv-jax: interrupted", file=sys.stderr)
        hosts.leave(128 + signal.SIGINT, at_once=True)
        return 128 + signal.SIGINT
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"inv-jax: out of device memory: {str(error)[:200]}", file=sys.stderr)
        return _USAGE_ERROR
