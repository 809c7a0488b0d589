"""The settings of a command line: a config file, and fields that are overridden.

    --config=configs/n3dv.py:sear_steak --config.model.name=split --config.split.pretraining=True

The parts that the overrides name are there wherever in the line they are named.
"""

import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from inv_jax.settings import naming
from inv_jax.settings.composed import flat, recomposed
from inv_jax.settings.parts import CHOICES
from inv_jax.types import InvError

_OVERRIDE = re.compile(r"(--?(?:no)?config\.)([^=]+)(?:=(.*))?", re.DOTALL)
_MODULE = "inv_jax_config"  # what a config file is called as a module


def load(text: str) -> ConfigDict:
    """What a config file returns, with all fields of the parts that it names.

    Args:
      text: FILE, or FILE:NAME for `get_config(NAME)`. It is the user's code: it may raise anything.

    Raises:
      InvError: If there is no such file, or what it returns is no config.
    """
    path, *names = text.split(":", 1)
    file = pathlib.Path(path)
    if not file.is_file():
        wrong = "is a directory" if file.is_dir() else "is not there"
        raise InvError(f"--config={path} {wrong}; give a config file, as configs/demo.py")
    _make_configs_importable(file)
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        raise InvError(f"--config={path} is no Python file; give one, as configs/demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(*names)
    if not isinstance(config, ConfigDict):
        raise InvError(f"{path}: get_config() returns a {type(config).__name__}; want a ConfigDict")
    return recomposed(config)


def _make_configs_importable(file: pathlib.Path) -> None:
    """Lets a config file say `from configs import base`, wherever the command runs."""
    for folder in (pathlib.Path(__file__).parents[2], file.absolute().parent.parent):
        if (folder / "configs").is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def prepared(config: ConfigDict, argv: list[str]) -> ConfigDict:
    """The config with the parts that overrides name, so that all of them can be set.

    Args:
      config: As `load` returns it.
      argv: The command line; names that fields had before are replaced in it.

    Raises:
      InvError: If an override is of a field that there is not.
    """
    for place, (start, field, _) in _overrides(argv):
        if new := naming.renamed(field):
            argv[place] = argv[place].replace(start + field, start + new, 1)
    fields = [(field, value) for _, (_, field, value) in _overrides(argv)]
    config = recomposed(config, {field: text for field, text in fields if field in CHOICES})
    known = dict(flat(config))
    for field, _ in fields:
        whole = field.partition("[")[0]  # an item of a tuple
        if whole not in known and not any(name.startswith(f"{whole}.") for name in known):
            raise InvError(naming.unknown(whole, known))
    return config


def _overrides(argv: Sequence[str]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Overrides: place, and what stands before the field, the field, the value."""
    for place, argument in enumerate(argv):
        if argument == "--":
            return
        if found := _OVERRIDE.fullmatch(argument):
            start, field, value = found.groups()
            if value is None:
                value = argv[place + 1] if place + 1 < len(argv) else ""
            yield place, (start, field, value)
