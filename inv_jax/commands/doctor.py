"""`inv-jax doctor`: what this machine is and reaches, and what a config will cost on it."""

import pathlib
import textwrap
from collections.abc import Iterable, Mapping

import jax
from absl import flags

from inv_jax.commands import flagged
from inv_jax.commands.forecast import Forecast, Rates, Row, free_bytes
from inv_jax.commands.stop import Stop
from inv_jax.cost import machine, words
from inv_jax.train.parallel import Devices

USAGE = "[--config=configs/n3dv.py:flame_salmon_1] [--workdir=runs/mine] [--nomeasure]"
REQUIRED: Mapping[str, str] = {}

_PRECISIONS = ("float32", "tf32", "bfloat16")
_INDENT, _COLUMNS = 16, 92


def define(values: flags.FlagValues, argv: list[str]) -> None:
    flagged.define_workdir(values)
    flagged.define_config(values, argv)
    flags.DEFINE_bool(
        "measure",
        True,
        "Measures the machine's rates and some steps (about half a minute); else only counts.",
        flag_values=values,
    )


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    devices = Devices()
    workdir = flagged.workdir(values) if values.workdir else pathlib.Path.cwd()
    # What is wrong with the config is said before anything is measured.
    forecast = Forecast(values.config, devices, workdir) if values.config is not None else None
    _show("machine", _machine_rows(devices, workdir))
    if forecast is not None:
        _show("config", forecast.config_rows())
        forecast.check()
    rates = None
    if values.measure:
        rates = Rates.measure(_PRECISIONS if forecast is None else (forecast.precision,))
        _show("measured", _rate_rows(rates))
    if forecast is not None:
        _show("training", forecast.training_rows(rates))
        _show("on disk", forecast.disk_rows())
    return 0


def _show(title: str, rows: Iterable[Row]) -> None:
    print(title)
    for name, text in rows:
        label = f"  {name}"
        for line in text.split("\n"):
            for part in textwrap.wrap(line, _COLUMNS - _INDENT, break_on_hyphens=False):
                print(f"{label:<{_INDENT}}{part}")
                label = ""
    print(flush=True)


def _machine_rows(devices: Devices, workdir: pathlib.Path) -> Iterable[Row]:
    size = devices.memory_bytes()
    each = f"{words.size(size)} each for JAX" if size else "their memory is the host's"
    yield "devices", f"{devices.describe()} ({devices.platform}), {each}"
    yield (
        "precision",
        "native: "
        + ", ".join(
            name for name in _PRECISIONS if machine.is_native(name, jax.local_devices()[0])
        ),
    )
    found = machine.host_memory()
    memory = f", {words.size(found[1])} of {words.size(found[0])} memory free" if found else ""
    yield "host", f"{machine.cores()} cores{memory}"
    yield "disk", f"{words.size(free_bytes(workdir))} free for {workdir}"
    yield "versions", ", ".join(f"{name} {text}" for name, text in machine.versions().items())


def _rate_rows(rates: Rates) -> Iterable[Row]:
    for precision, rate in rates.matrix.items():
        yield precision, f"{words.quantity(rate, 'FLOP/s')} in large matrix products"
    yield "memory", f"{words.quantity(rates.memory, 'B/s')} streamed"
