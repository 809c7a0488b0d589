"""Flags that choose among what is stored."""

import pytest

from inv_jax.commands.flagged import select_segments
from inv_jax.types import InvError

_STORED = [range(1, 4), range(4, 7), range(7, 8)]


def test_segments_are_chosen_by_their_frames():
    assert select_segments(_STORED, "") == _STORED
    assert select_segments(_STORED, "4:7") == _STORED[1:]
    assert select_segments(_STORED, "7") == _STORED[2:]


@pytest.mark.parametrize("text", ["1:2", "3:6", "2:7"])
def test_segments_are_not_cut(text):
    with pytest.raises(InvError, match=r"frames 1 to 3 share their params; choose all of them"):
        select_segments(_STORED, text)


def test_frames_that_are_not_stored_are_named():
    with pytest.raises(InvError, match="stored frames are 1 to 7"):
        select_segments(_STORED, "4:9")
