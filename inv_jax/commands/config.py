"""`inv-jax config`: every setting of a config or a run, what it means, and what was changed.

Values that are not the default of their part are marked, with the default behind them.
"""

import pathlib
import textwrap
from collections.abc import Iterator
from typing import Any

import ml_collections
from absl import flags

from inv_jax.assembly import record
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.settings import command_line, comments
from inv_jax.settings.composed import composed, flat
from inv_jax.settings.parts import CHOICES

USAGE = "configs/split.py:density | WORKDIR [--config.train.steps=500 ...]"
REQUIRED = {"config": "give a config file with its argument, as configs/demo.py, or a workdir"}

_COLUMNS = 100
_WIDEST = 34  # of a value that stands beside its comment


def define(values: flags.FlagValues, argv: list[str]) -> None:
    if len(argv) > 1 and not argv[1].startswith("-"):
        argv[1] = f"--config={argv[1]}"
    flagged.define_config(values, argv, _load)


def _load(text: str) -> ml_collections.ConfigDict:
    folder = pathlib.Path(text).expanduser()
    return record.read_config(folder) if folder.is_dir() else command_line.load(text)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    print("\n".join(lines(values.config)))
    return 0


def lines(config: ml_collections.ConfigDict) -> Iterator[str]:
    """The settings for people, group by group, in the order of their source."""
    fields = dict(flat(config))
    names = {field: fields[field] for field in CHOICES}
    said, defaults = comments.of(names), dict(flat(composed(names)))
    groups: dict[str, list[str]] = {}
    for field in sorted(fields, key=lambda field: [*said, field].index(field)):
        groups.setdefault(field.rpartition(".")[0], []).append(field)
    for group, members in groups.items():
        yield group
        labels = {field: field.rpartition(".")[2] for field in members}
        texts = {field: _text(fields[field]) for field in members}
        usual = {field: _text(defaults.get(field, fields[field])) for field in members}
        is_changed = {field: texts[field] != usual[field] for field in members}
        texts |= {
            field: f"{texts[field]} ({usual[field]})" for field in members if is_changed[field]
        }
        first = max(map(len, labels.values())) + 4
        second = first + 2 + max([len(text) for text in texts.values() if len(text) <= _WIDEST])
        for field in members:
            mark = "*" if is_changed[field] else " "
            head = f"{mark} {labels[field]}".ljust(first) + texts[field]
            wrapped = textwrap.wrap(said.get(field, ""), _COLUMNS - second)
            if len(head) + 2 > second:
                yield head
                head = ""
            yield (head.ljust(second) + (wrapped[0] if wrapped else "")).rstrip()
            yield from (" " * second + line for line in wrapped[1:])
        yield ""
    yield "* changed; the default is in parentheses"


def _text(value: Any) -> str:
    """A value as the command line takes it; an empty text as ''."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "()"
    return str(value) or "''"
