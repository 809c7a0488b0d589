"""A clip whose pictures are trained from scratch, a network each."""

import pathlib

import pytest
import scenes


@pytest.fixture(scope="session")
def from_scratch() -> dict:
    """Settings: no frame needs another one; they take 4, 8, 12, ... steps."""
    return {
        "train.scratch": True,
        "train.equal_steps": True,
        "train.freeze_frame": 0,
        "train.warmup_steps": 4,
    }


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> pathlib.Path:
    """Six pictures of 12x16: waves that move."""
    return scenes.write_clip(tmp_path_factory.mktemp("clip"), 6, 12, 16)


@pytest.fixture(scope="session")
def image_settings(from_scratch, clip) -> dict:
    """Settings of one network per picture of the clip."""
    return {
        **from_scratch,
        "data.path": str(clip),
        "data.layout": "video",
        "data.factor": 1,
        "data.num_frames": 6,
        "model.name": "image",
        "train.rows_per_step": 64,
    }
