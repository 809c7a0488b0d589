"""Training in every precision: what is stored, and what is said."""

import jax
import numpy as np
import pytest
from absl import logging

from inv_jax import params as params_lib

_ONE_FRAME = {"data.num_frames": 1, "model.width": 16, "train.warmup_steps": 40}


@pytest.fixture
def logged(monkeypatch):
    """Lines of the log, as they are said."""
    lines = []
    monkeypatch.setattr(
        logging, "info", lambda text, *args: lines.append(text % args if args else str(text))
    )
    return lines


@pytest.fixture(scope="module")
def reference(train, tmp_path_factory):
    """A run in float32."""
    return train(tmp_path_factory.mktemp("float32"), _ONE_FRAME)


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("float32", "in float32, "),
        pytest.param(
            "tf32",
            "in float32 (model.precision=tf32 is for GPUs; a CPU computes in float32), ",
            marks=pytest.mark.slow,
        ),
        ("bfloat16", "in bfloat16, "),
    ],
)
def test_params_stay_float32_and_the_log_says_what_they_are_multiplied_in(
    precision, said, train, reference, tmp_path, logged
):
    store = train(tmp_path, {**_ONE_FRAME, "model.precision": precision})
    (line,) = (line for line in logged if line.startswith("training on"))
    assert said in line
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(store.params(1)))
    assert all(
        leaf.dtype == np.float32 for leaf in store.optimizer(1).values() if leaf.dtype.kind == "f"
    )
    loss, expected = (s.metadata(1)["loss"] for s in (store, reference))
    assert abs(loss / expected - 1) < 0.02
    same = [
        np.array_equal(x, y)
        for x, y in zip(
            params_lib.flatten(store.params(1)).values(),
            params_lib.flatten(reference.params(1)).values(),
            strict=True,
        )
    ]
    assert not any(same) if precision == "bfloat16" else all(same)
