import pathlib

import pytest

from inv_jax.report import runs
from inv_jax.types import InvError


def _paths(*texts):
    return [pathlib.Path(text) for text in texts]


def test_names_are_as_short_as_tells_runs_apart():
    assert runs.short_names(_paths("/x/a", "/x/b.inv")) == ["a", "b.inv"]
    assert runs.short_names(_paths("/x/a/run", "/x/b/run")) == ["a/run", "b/run"]


@pytest.mark.parametrize(
    "paths, names, text",
    [
        (["/x/a", "/x/../x/a"], [], "given twice"),
        (["/x/a", "/x/b"], ["one"], "1 names for 2 runs"),
        (["/x/a", "/x/b"], ["one", "one"], "a name of its own"),
        (["/nowhere/a"], [], "is no run"),
    ],
)
def test_what_is_no_list_of_runs_is_refused(paths, names, text):
    with pytest.raises(InvError, match=text):
        runs.open_runs(_paths(*paths), names)
