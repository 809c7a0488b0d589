import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.data import files


def test_a_file_takes_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # `os.replace` does not cross file systems
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_scalars_of_any_library_become_plain_ones():
    row = files.json_row(
        {"a": np.float32(0.5), "b": jnp.int32(3), "c": np.bool_(True), "d": np.ones(1), "e": "x"}
    )
    assert row == {"a": 0.5, "b": 3, "c": True, "d": 1.0, "e": "x"}
    assert [type(value) for value in row.values()] == [float, int, bool, float, str]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf"), None])
def test_what_json_cannot_say_becomes_none(value):
    assert files.json_row({"a": value}) == {"a": None}


@pytest.mark.parametrize("value", [np.ones(2), [1], object()])
def test_a_row_holds_scalars_only(value):
    with pytest.raises(TypeError, match="a is "):
        files.json_row({"a": value})
