import json

import numpy as np
import pytest
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2

from inv_jax.train.journal import Journal
from inv_jax.types import InvError


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path)
    yield journal
    journal.close()


def _events(folder) -> list[event_pb2.Event]:
    """All events of a TensorBoard folder: records of length (8), its CRC (4), data, CRC (4)."""
    events = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            assert int.from_bytes(data[8:12], "little") == record_writer.masked_crc32c(data[:8])
            events.append(event_pb2.Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return events


def test_rows_read_back_in_the_order_of_their_frames(journal, tmp_path):
    assert (journal.rows(), journal.frames()) == ([], set())
    journal.write({"frame": 2, "phase": "warmup", "psnr": np.float32(30.5)})
    journal.write({"frame": 1, "phase": "warmup", "psnr": 29.0})
    expected = [
        {"frame": 1, "phase": "warmup", "psnr": 29.0},
        {"frame": 2, "phase": "warmup", "psnr": 30.5},
    ]
    assert journal.rows() == expected
    assert Journal(tmp_path).rows() == expected
    assert journal.frames() == {1, 2}


def test_reading_makes_no_files(tmp_path):
    Journal(tmp_path / "none").rows()
    Journal(tmp_path / "none").keep_only({1})
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_json_lacks_are_null(journal):
    journal.write({"frame": 1, "psnr": float("inf"), "loss": float("nan"), "ssim": None})
    line = journal.path.read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "frame": 1, "psnr": None, "loss": None, "ssim": None,
    }  # fmt: skip


def test_the_row_of_a_frame_is_replaced(journal):
    for frame in (1, 2, 3):
        journal.write({"frame": frame, "psnr": 20.0})
    journal.write({"frame": 2, "psnr": 25.0, "ssim": 0.5})
    assert [row["psnr"] for row in journal.rows()] == [20.0, 25.0, 20.0]
    assert len(journal.path.read_text().splitlines()) == 3


@pytest.mark.parametrize("kept_bytes", range(1, len('{"frame": 3, "x": 1}')))
def test_a_torn_last_line_is_not_read_and_is_repaired(journal, kept_bytes):
    for frame in (1, 2, 3):
        journal.write({"frame": frame, "x": 1})
    *whole, last = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(whole) + last[:kept_bytes])
    assert journal.frames() == {1, 2}
    journal.write({"frame": 3, "x": 2})
    assert [row["x"] for row in journal.rows()] == [1, 1, 2]
    assert journal.path.read_bytes().endswith(b"\n")


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(journal):
    journal.path.write_text('{"frame": 1}\n{"fra\n{"frame": 3}\n')
    with pytest.raises(InvError, match="line 2 is no JSON object with a 'frame'"):
        journal.rows()
    journal.path.write_text('{"psnr": 1}\n')
    with pytest.raises(InvError, match="line 1 is no JSON object"):
        journal.write({"frame": 1})


def test_rows_of_other_frames_are_dropped(journal):
    for frame in range(1, 6):
        journal.write({"frame": frame})
    before = journal.path.stat().st_ino
    journal.keep_only({1, 2, 3, 4, 5, 6})
    assert journal.path.stat().st_ino == before  # nothing to drop: nothing is written
    journal.keep_only([1, 3])
    assert journal.frames() == {1, 3}
    assert list(journal.path.parent.glob(".*")) == []


def test_a_row_needs_a_frame(journal):
    with pytest.raises(KeyError, match="frame"):
        journal.write({"psnr": 1.0})
    assert not journal.path.exists()


def test_tensorboard_gets_the_numbers_at_the_step_of_their_frame(journal, tmp_path):
    picture = np.full((4, 6, 3), 200, np.uint8)
    journal.write({"frame": 7, "phase": "warmup", "psnr": 31.5, "ssim": None}, {"view": picture})
    journal.write({"frame": 8, "steps": 100})
    journal.close()
    events = _events(tmp_path / "tensorboard")
    values = {(e.step, v.tag): v for e in events for v in e.summary.value}
    assert set(values) == {(7, "psnr"), (7, "view"), (8, "steps")}
    assert values[7, "psnr"].simple_value == 31.5
    assert values[8, "steps"].simple_value == 100
    assert (values[7, "view"].image.height, values[7, "view"].image.width) == (4, 6)


def test_a_resumed_run_makes_tensorboard_forget_frames_that_are_trained_again(tmp_path):
    def purged(frame: int) -> list[int]:
        folder = tmp_path / "tensorboard"
        old = set(folder.iterdir()) if folder.exists() else set()
        journal = Journal(tmp_path)
        journal.write({"frame": frame, "psnr": 1.0})
        journal.close()
        # Two writers of one process within one second would share a file name.
        for number, path in enumerate(sorted(set(folder.iterdir()) - old)):
            path.rename(folder / f"{len(old) + number}.{path.name}")
        start = event_pb2.SessionLog.START
        return [e.step for e in _events(folder) if e.session_log.status == start]

    assert purged(1) == [1]
    assert purged(2) == [1, 2]
    assert purged(1) == [1, 2]  # a frame in the middle: later ones stay
    Journal(tmp_path).keep_only({1})
    assert purged(2) == [1, 2, 2]
