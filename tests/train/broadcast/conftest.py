"""Runs that write their neural video while they train."""

import pytest


@pytest.fixture(scope="session")
def four_frames() -> dict:
    """Settings of all runs; the colors rest from frame 2 on."""
    return {
        "data.num_frames": 4,
        "train.freeze_frame": 2,
        "train.save_every": 3,
        "train.dispatch_seconds": 0.0,
    }


@pytest.fixture(scope="session")
def codecs() -> dict[str, dict]:
    """Settings of a codec, by name."""
    return {
        "raw": {"codec.name": "raw"},
        "groups": {"codec.name": "twc", "codec.precision": 32, "codec.group": 2},
        "delta": {"codec.name": "delta", "codec.key_every": 3},
        "from decoded": {
            "codec.name": "delta",
            "codec.fidelity": 30.0,
            "codec.from_decoded": True,
            "train.update_pull": 0.2,
        },
    }


@pytest.fixture(scope="session")
def runs(train, four_frames, codecs, tmp_path_factory):
    """Workdir and store of a run with each codec; to look at only."""
    found = {}
    for name, settings in codecs.items():
        workdir = tmp_path_factory.mktemp("run")
        found[name] = workdir, train(workdir, four_frames | settings)
    return found
