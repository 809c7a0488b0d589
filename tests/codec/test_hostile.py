"""Spoilt and forged files give correct frames or a named error: no crash, no hang, no flood.

`scripts/fuzz_video.py` does the same with any number of files; here some stand for them.
"""

import contextlib
import json
import pathlib
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from fuzzing import mutations
from fuzzing.judge import Judge, originals, remembered_streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import FrameDecoder, least_bytes
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.types import InvError

_ROOT = pathlib.Path(__file__).parents[2]
_CODECS = {
    "raw": [RawCodec(), RawCodec()],
    "twc": [FpzipCodec(precision=16, group=0)],
    "delta": [DeltaCodec(key_every=4), DeltaCodec(key_every=3)],
    "bricks": [BricksCodec(key_every=4), BricksCodec(key_every=3)],
    "quant": [QuantCodec(), QuantCodec(bits=5, axis=-1)],
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp("originals")
    with remembered_streams():
        yield Judge(originals(folder, _CODECS), folder)


def test_spoilt_files_give_correct_frames_or_named_errors(judge):
    verdicts = {number: judge.try_one(number) for number in range(600)}
    assert not {n: verdict for n, verdict in verdicts.items() if verdict.is_failure}
    # All ways to spoil were tried, and they are not all refused at the door.
    tried = {verdict.mutation for verdict in verdicts.values()}
    assert tried == {m.__name__ for m in (*mutations.DAMAGES, *mutations.FORGERIES)}
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    assert all(outcomes.count(o) > 20 for o in ("frames", "some frames", "refused"))


def test_the_judge_knows_wrong_frames(judge, monkeypatch):
    """A flipped bit whose checksums were repaired, passed off as damage, is found out."""

    def forged(rng, data, others):
        parts = mutations.split(data)
        at = next(i for i, (kind, _) in enumerate(parts) if kind == bitstream.FRAME)
        spoilt = bytearray(parts[at][1])
        spoilt[40] ^= 1
        parts[at] = parts[at][0], bytes(spoilt)
        return mutations.join(parts)

    monkeypatch.setattr(mutations, "DAMAGES", (forged,))
    monkeypatch.setattr(mutations, "FORGERIES", (forged,))
    outcomes = {judge.try_one(number).outcome for number in range(20)}
    assert "frame 1 is wrong" in outcomes


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_by_name(data, with_signature):
    data = bitstream.signature() + data if with_signature else data
    with pytest.raises(CorruptError):
        NeuralVideo(BytesSource(data), "video")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(_CODECS)),
    payload=st.binary(max_size=80),
    count=st.integers(0, 4),
    is_key=st.booleans(),
    is_segment=st.booleans(),
)
def test_any_payload_is_frames_or_a_named_error(samples, name, payload, count, is_key, is_segment):
    """What stands behind the checksums, given to the codecs themselves."""
    layout = samples.STRUCTURE
    decoder = FrameDecoder(samples.header(_CODECS[name][0]))
    payload = payload.ljust(least_bytes(layout, count), b"\0")
    try:
        frames = decoder.decode(Packet(3, count, is_key, payload, is_segment))
    except CorruptError as error:
        assert str(error).isprintable()
        return
    assert sorted(frames) == ([3] if is_segment else list(range(3, 3 + count)))
    for leaves in frames.values():
        assert {path: leaf.shape for path, leaf in leaves.items()} == dict(layout.shapes)
        assert all(np.isfinite(leaf).all() for leaf in leaves.values())


def _seconds(data: bytes) -> float:
    start = time.process_time()
    with contextlib.suppress(InvError):
        video = NeuralVideo(BytesSource(data), "video")
        for frame in video.frames()[:3]:
            with contextlib.suppress(InvError):
                video.params(frame)
    return time.process_time() - start


@pytest.fixture
def begun(samples) -> bytes:
    """A file of a description, and nothing else."""
    meta = bitstream.part(bitstream.META, samples.header(RawCodec()).dump())
    return bitstream.signature() + meta


@pytest.mark.parametrize(
    "unit",
    [
        b"FRAM",
        bitstream.part(b"ABCD", b""),
        bitstream.part(bitstream.FRAME, b""),
        bitstream.part(bitstream.FRAME, struct.pack("<IIII", 7, 1, 1, 1)),
        bitstream.part(bitstream.FRAME, struct.pack("<IIII", 1, 0xFFFFFFFF, 1, 1)),
        bitstream.part(bitstream.COLOR, bytes(4)),
        bitstream.part(bitstream.FRAME, bytes(16)) + b"\0",
    ],
)
def test_time_grows_with_the_file_and_not_with_its_square(begun, unit):
    def seconds(size: int) -> float:
        return min(_seconds(begun + unit * (size // len(unit))) for _ in range(2))

    small, large = seconds(50_000), seconds(400_000)
    assert large < max(24 * small, 0.4)


def test_an_index_of_a_million_entries_needs_a_file_for_it(begun):
    rows = b"".join(struct.pack("<Q4sIIII", 40 + i, b"FRAM", i, 1, 1, 1) for i in range(50_000))
    data = begun + bitstream.part(bitstream.INDEX, rows)
    data += bitstream.part(bitstream.TAIL, struct.pack("<QQ", len(begun), 50_000))
    video = NeuralVideo(BytesSource(data), "video")
    assert "does not lead to its index" in video.damages[0].reason
    assert _seconds(data) < 0.2


def test_a_group_that_breaks_is_not_decoded_again_for_each_of_its_frames(samples, tmp_path):
    """Two thousand frames behind one that is broken."""
    path = tmp_path / "video.inv"
    samples.write(path, _CODECS["delta"][0], frames=3, warmup=1)
    parts = mutations.split(path.read_bytes())
    kind, payload = parts[-3]
    assert kind == bitstream.FRAME
    many = [(kind, struct.pack("<I", n) + payload[4:]) for n in range(4, 2000)]
    video = NeuralVideo(BytesSource(mutations.join([*parts, *many])), "video")
    assert len(video.frames()) == 1999
    start = time.process_time()
    for frame in range(4, 2000):
        with pytest.raises(CorruptError):
            video.params(frame)
    assert time.process_time() - start < 1.0
    assert len(video.damages) == 1


def test_very_many_leaves_take_no_longer_than_they_must(samples):
    layout = Layout(tuple((f"fine/structure/layer_{i}/bias", (1 + i,)) for i in range(500)))
    start = time.process_time()
    for codec in (RawCodec(), FpzipCodec(), DeltaCodec(), BricksCodec(), QuantCodec()):
        FrameDecoder(samples.header(codec, layout=layout))
    assert time.process_time() - start < 1.0
    with pytest.raises(CorruptError, match="cannot be 1 frames"):
        FrameDecoder(samples.header(RawCodec(), layout=layout)).decode(
            Packet(1, 1, True, bytes(least_bytes(layout) - 1))
        )


def test_a_description_that_is_a_bomb_takes_no_memory():
    bomb = zlib.compress(bytes(1 << 28), 9)  # 256 MB in 260 KB
    data = bitstream.signature() + bitstream.part(bitstream.META, bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptError, match="longer than"):
        NeuralVideo(BytesSource(data), "video")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.slow
def test_the_fuzzer_runs_and_reports():
    done = subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "fuzz_video.py"), "--files=300", "--batch=150"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["failures"] == 0
    counts = [sum(found.values()) for found in report["counts"].values()]
    assert sum(counts) == report["files"] == 300
    kinds = {kind.split("/")[0] for kind in report["counts"]}
    assert kinds == {"raw", "twc", "delta", "bricks", "quant"}
