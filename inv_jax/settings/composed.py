"""A config of the parts that apply, and of others when another model, layout or codec is named."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from inv_jax.settings import naming
from inv_jax.settings.parts import ALWAYS, CHOICES, Parts
from inv_jax.types import InvError

_ABSENT = object()


def compose(model: str = "nerf", layout: str = "n3dv", codec: str = "") -> ConfigDict:
    """The default settings of a model on a capture's layout, locked.

    Args:
      model: `model.name`.
      layout: `data.layout`.
      codec: `codec.name`, of the video that is written meanwhile; '' for none.

    Raises:
      InvError: If one of them is not known.
    """
    return composed({"data.layout": layout, "model.name": model, "codec.name": codec})


def recomposed(config: ConfigDict, names: Mapping[str, str] | None = None) -> ConfigDict:
    """The config with the parts that its choosing fields name, locked; a copy.

    Fields of parts that do not apply any more are left out, those of new ones are there. What the
    config sets stays: that is, what differs from the default it had. A config without some fields,
    or without some groups, gets them.

    Args:
      config: As `compose` made it, and changed since; it may have a mixture of fields.
      names: Choosing fields with values that go over the config's: `{"model.name": "split"}`.

    Raises:
      InvError: If a name is not known, or a field is one of no part.
    """
    made = copy.deepcopy(config)  # references between its fields stay
    with made.unlocked():
        old = dict(flat(made))
        before = dict(flat(composed(_origin(old))))
        for field, value in (names or {}).items():
            put(made, field, value)
        chosen = {field: get(made, field) for field in CHOICES}
        named = {field: name for field, name in chosen.items() if name is not _ABSENT}
        after = dict(flat(composed(named)))
        for field in sorted(old.keys() - after.keys()):
            if new := naming.renamed(field):
                put(made, new, old[field])
            elif not naming.owners(field):
                raise InvError(naming.unknown(field, dict(flat(made))))
            _remove(made, field)
        for field, default in after.items():
            value = get(made, field)
            was_default = field not in chosen and value == before.get(field, _ABSENT)
            if value is _ABSENT or (was_default and value != default):
                put(made, field, default)
    return made.lock()


def changed(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    """The config with other values, and with the parts that these name; a copy, locked.

    Args:
      config: Any that `compose` or `recomposed` made.
      changes: Values by dotted name; in any order.

    Raises:
      InvError: If a field is none of the parts that then apply.
    """
    made = recomposed(config, {name: changes[name] for name in CHOICES if name in changes})
    for field, value in changes.items():
        if get(made, field) is _ABSENT:
            raise InvError(naming.unknown(field, dict(flat(made))))
        put(made, field, value)
    return made


def field_names(names: Mapping[str, str]) -> set[str]:
    """Dotted names of the fields of the named parts, by the fields that choose them.

    Raises:
      InvError: If a name is not known.
    """
    return {field for field, _ in flat(composed(names))}


def flat(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields with their dotted names; groups are no fields."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def get(config: ConfigDict, field: str) -> Any:
    """The value of a field by its dotted name; `_ABSENT` if it is not there."""
    value: Any = config
    for name in field.split("."):
        if not isinstance(value, ConfigDict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def put(config: ConfigDict, field: str, value: Any) -> None:
    """Sets a field by its dotted name, in a group that is made if need be."""
    *groups, name = field.split(".")
    for group in groups:
        if group not in config:
            config[group] = ConfigDict()
        config = config[group]
    config[name] = value


def _remove(config: ConfigDict, field: str) -> None:
    """Removes a field, and its group if nothing is left of it."""
    group, _, name = field.rpartition(".")
    found = get(config, group) if group else config
    del found[name]
    if group and not found:
        _remove(config, group)


def composed(names: Mapping[str, str]) -> ConfigDict:
    """The default settings of some parts, locked; what is not named is as in `compose`.

    Args:
      names: Of the parts, by the fields that choose them.

    Raises:
      InvError: If a name is not known.
    """
    config = ConfigDict()
    _add(config, ALWAYS)
    chosen = {field: names.get(field, get(config, field)) for field in CHOICES}
    for field, name in chosen.items():
        if not isinstance(name, str) or name not in CHOICES[field]:
            known = ", ".join(repr(one) for one in CHOICES[field])
            raise InvError(f"{field}={str(name)[:40]!r} is unknown; choose one of {known}")
        _add(config, CHOICES[field][name])
        put(config, field, name)
    for field, name in chosen.items():
        for other, default in CHOICES[field][name].defaults.items():
            if get(config, other) is not _ABSENT:  # a video has no NDC, say
                put(config, other, default)
    return config.lock()


def _add(config: ConfigDict, parts: Parts) -> None:
    for group, functions in parts.fields.items():
        for part in functions:
            for name, value in part().items():
                put(config, f"{group}.{name}", value)


def _origin(fields: Mapping[str, Any]) -> dict[str, str]:
    """Of which parts a config was composed, by what it has: of those all there, the largest."""

    def size(names: Mapping[str, Parts], name: str) -> int:
        own = names[name].names
        return len(own) if own <= fields.keys() else -1

    return {
        field: max(names, key=lambda name: (size(names, name), fields.get(field) == name))
        for field, names in CHOICES.items()
    }
