"""Runs of an older version go on to the bits it would have ended with."""

import json
import pathlib

import pytest

_SLOW = pytest.mark.slow
_MEASURED = ("seconds", "_per_second", "memory_bytes", "structure_bytes")


def _rows(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _check_rows(found: pathlib.Path, wanted: pathlib.Path) -> None:
    """All that was noted of a frame is noted, but for times and sizes on disk."""
    for ours, theirs in zip(_rows(found), _rows(wanted), strict=True):
        for name, value in theirs.items():
            if not name.endswith(_MEASURED):
                close = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
                assert ours[name] == close, name


@pytest.mark.parametrize(
    ("name", "whole", "video"),
    [
        ("image", "image", "image.inv"),
        pytest.param("inv", "inv", "delta.inv", marks=[_SLOW, pytest.mark.in_ci]),
        pytest.param("inv_warmup", "inv", "delta.inv", marks=_SLOW),
    ],
)
def test_a_stopped_run_ends_as_if_nothing_had_happened(
    name, whole, video, old, command, params_of, check_trained, digests_of
):
    workdir = old.run(name)
    assert command("train", *old.flags(whole), f"--workdir={workdir}") == 0
    assert not list((workdir / "partial").iterdir())
    check_trained(params_of(workdir), old.params(whole))
    _check_rows(workdir / "metrics.jsonl", old.data / f"{whole}.jsonl")
    assert digests_of(params_of(workdir / "video.inv")) == old.digests(video)


@_SLOW
def test_a_finished_run_takes_another_frame(old, command, params_of, check_trained):
    """Of two fields; the run that its static field came from is gone."""
    workdir = old.run("split")
    flags = [*old.flags("split"), "--config.data.num_frames=4"]
    assert command("train", *flags, f"--workdir={workdir}") == 0
    check_trained(params_of(workdir), old.params("split"))
    _check_rows(workdir / "metrics.jsonl", old.data / "split.jsonl")


def test_a_finished_run_is_found_finished(old, command):
    workdir = old.run("split")
    before = (workdir / "metrics.jsonl").read_text()
    assert command("train", *old.flags("split"), f"--workdir={workdir}") == 0
    assert (workdir / "metrics.jsonl").read_text() == before
    assert (workdir / "video.inv").read_bytes() == (old.data / "split.inv").read_bytes()


def test_a_run_does_not_go_on_with_other_settings(old, command, capsys):
    flags = [*old.flags("inv"), "--config.train.steps=31", f"--workdir={old.run('inv')}"]
    assert command("train", *flags) == 2
    said = capsys.readouterr().err
    assert "it differs in train.steps (30 there, 31 here): use" in said


@_SLOW
def test_a_run_from_the_beginning_is_what_it_was(old, command, params_of, check_trained, tmp_path):
    """Its procedural capture, too, which it renders first."""
    workdir, capture = tmp_path / "run", old.capture("image")
    assert command("train", *old.flags("image"), f"--workdir={workdir}") == 0
    check_trained(params_of(workdir), old.params("image"))
    _check_rows(workdir / "metrics.jsonl", old.data / "image.jsonl")
    for path in capture.rglob("*.png"):
        found = workdir / "capture" / path.relative_to(capture)
        assert found.read_bytes() == path.read_bytes(), path.name


def test_a_new_run_begins_with_the_params_of_an_old_one(
    old, command, params_of, check_trained, tmp_path
):
    flags = [
        *old.flags("color_transfer"),
        f"--config.train.init_from={old.run('image')}",
        f"--config.data.path={old.capture('image')}/frames/frame0004cam00.png",
    ]
    assert command("train", *flags, f"--workdir={tmp_path / 'new'}") == 0
    check_trained(params_of(tmp_path / "new"), old.params("color_transfer"))
    _check_rows(tmp_path / "new" / "metrics.jsonl", old.data / "color_transfer.jsonl")
