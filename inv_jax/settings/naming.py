"""What a field that is not there may have been meant to be."""

import difflib

from absl import logging

from inv_jax.settings.parts import ALWAYS, CHOICES

# Names that fields had before: a row was a ray before there were others.
RENAMED = {
    "train.rays_per_step": "train.rows_per_step",
    "train.rays_per_pass": "train.rows_per_pass",
    "eval.rays_per_chunk": "eval.rows_per_chunk",
}


def renamed(field: str) -> str:
    """The name that a field has now, if it had another before, which is said; else ''."""
    new = RENAMED.get(field, "")
    if new:
        logging.warning("%s is called %s now", field, new)
    return new


def owners(field: str) -> dict[str, list[str]]:
    """The names whose part has a field, by the field that chooses among them."""
    found = {
        chooser: [name for name, parts in names.items() if field in parts.names]
        for chooser, names in CHOICES.items()
    }
    return {chooser: names for chooser, names in found.items() if names}


def is_known(field: str) -> bool:
    """Whether some part has a field."""
    return field in ALWAYS.names or bool(owners(field))


def unknown(field: str, known: dict[str, object]) -> str:
    """Why there is no such field, in one line.

    Args:
      field: Its dotted name.
      known: The fields there are, by dotted name.
    """
    for chooser, names in owners(field).items():
        there = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        return f"{field} is a setting of {chooser}={there}; this is {known[chooser] or 'none'}"
    group, _, name = field.rpartition(".")
    nearest = _nearest(group, name, list(known))
    advice = f'Did you mean "{nearest}"?' if nearest else "`inv-jax config` prints those there are"
    return f"{group or 'the config'} has no field {name!r}. {advice}"


def _nearest(group: str, name: str, known: list[str]) -> str:
    """The name that is most like it, in its group, or else, with its group's, in any; or ''."""
    groups, names = zip(*(field.rpartition(".")[::2] for field in known), strict=True)
    beside = [other for at, other in zip(groups, names, strict=True) if at == group]
    if close := difflib.get_close_matches(name, beside, 1):
        return close[0]
    if not (close := difflib.get_close_matches(name, names, 1)):
        return ""
    like = [at for at, other in zip(groups, names, strict=True) if other == close[0]]
    return ".".join((*difflib.get_close_matches(group, like, 1, 0.0), close[0])).lstrip(".")
