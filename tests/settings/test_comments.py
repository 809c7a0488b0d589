"""Each setting says what it is."""

import itertools

import pytest
from ml_collections import ConfigDict

from inv_jax.settings import comments
from inv_jax.settings.composed import composed, flat
from inv_jax.settings.parts import CHOICES


@pytest.mark.parametrize("names", list(itertools.product(*CHOICES.values())))
def test_every_field_has_a_comment(names):
    chosen = dict(zip(CHOICES, names, strict=True))
    said = comments.of(chosen)
    assert said.keys() == dict(flat(composed(chosen))).keys()
    assert all(said.values()), [field for field, text in said.items() if not text]


def _part() -> ConfigDict:
    group = ConfigDict()
    group.first = 1  # in one line
    group.second = (  # over
        2
    )  # in two,
    # of which "# this" is one
    # another line
    group.third = "# no comment"
    # below it

    # of nothing
    group.fourth = 4
    return group


def test_a_comment_goes_on_until_the_next_line_that_is_none():
    assert comments.of_part(_part) == {
        "first": "in one line",
        "second": 'in two, of which "# this" is one another line',
        "third": "below it",
        "fourth": "",
    }
