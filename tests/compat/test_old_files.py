"""Files and published folders of an older version hold the params that they held then."""

import json
import shutil

import pytest

_FILES = ("raw", "delta", "twc", "image", "split")


@pytest.mark.parametrize("name", _FILES)
def test_params_are_those_that_were_decoded(name, old, params_of, digests_of):
    assert digests_of(params_of(old.data / f"{name}.inv")) == old.digests(f"{name}.inv")


def test_raw_is_the_run(old, params_of, check_equal):
    check_equal(params_of(old.data / "raw.inv"), old.params("inv"))


@pytest.mark.parametrize("name", _FILES)
def test_info_finds_every_frame(name, old, command, capsys, tmp_path):
    out = tmp_path / "groups.json"
    assert command("info", old.data / f"{name}.inv", "--check", "--groups", f"--out={out}") == 0
    said = capsys.readouterr().out
    count = 3 if name == "split" else 4
    assert f"{count} of {count} frames can be decoded" in said
    assert f"{count}, 1 to {count}" in said
    assert "damaged" not in said
    groups = {"raw": 4, "delta": 2, "twc": 2, "image": 3, "split": 1}
    assert len(json.loads(out.read_text())) == groups[name]


@pytest.mark.parametrize("name", _FILES)
def test_a_file_becomes_a_workdir(name, old, command, params_of, digests_of, tmp_path):
    workdir = tmp_path / "decoded"
    assert command("decode", old.data / f"{name}.inv", f"--out={workdir}") == 0
    assert digests_of(params_of(workdir)) == old.digests(f"{name}.inv")


def test_a_file_that_was_not_closed_plays_as_far_as_it_goes(old, command, params_of):
    """The run was stopped within frame 4."""
    video = old.run("inv") / "video.inv"
    assert {path.partition("/")[0] for path in params_of(video)} == {"1", "2", "3"}
    assert command("play", video) == 0


@pytest.mark.parametrize("name", ["inv", "image", "split"])
def test_a_run_is_encoded_and_loses_nothing(name, old, command, params_of, check_equal, tmp_path):
    workdir, out = old.run(name), tmp_path / "raw.inv"
    assert command("encode", f"--workdir={workdir}", "--codec=raw", f"--out={out}") == 0
    check_equal(params_of(out), params_of(workdir))
    frames = {path.partition("/")[0] for path in params_of(workdir)}
    wanted = {path: x for path, x in old.params(name).items() if path.partition("/")[0] in frames}
    check_equal(params_of(out), wanted)


def test_twc_is_what_it_was(old, command, params_of, digests_of, tmp_path):
    out = tmp_path / "twc.inv"
    flags = ["--codec=twc", "--group=0", f"--out={out}"]
    assert command("encode", f"--workdir={old.data / 'raw.inv'}", *flags) == 0
    assert digests_of(params_of(out)) == old.digests("twc.inv")


def test_a_published_folder_plays_to_its_end(old, command, tmp_path):
    report = tmp_path / "report.json"
    assert command("play", old.data / "published", f"--report={report}") == 0
    row = json.loads(report.read_text())
    assert (row["frames_played"], row["frames_lost"]) == (4, 0)


def test_files_are_published_under_the_names_they_had(old, command, tmp_path):
    """Also over a folder that is there: players go on with what they have."""
    files = f"--video={old.data / 'delta.inv'},{old.data / 'raw.inv'}"
    shutil.copytree(old.data / "published", tmp_path / "there")
    for folder in ("new", "there"):
        assert command("publish", files, f"--out={tmp_path / folder}") == 0
        for path in (old.data / "published").iterdir():
            assert (tmp_path / folder / path.name).read_bytes() == path.read_bytes()
