"""Videos of six frames by every codec, and ways into a file."""

from collections.abc import Callable, Mapping

import pytest

from inv_jax.codec import bitstream
from inv_jax.codec.base import Codec
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo


class Counting(BytesSource):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        """As without counting."""
        data = super().read(offset, size)
        self.read_bytes += len(data)
        return data


@pytest.fixture(scope="session")
def counting() -> type[Counting]:
    """`counting(data)`: a source whose `read_bytes` are those that were read."""
    return Counting


@pytest.fixture(scope="session")
def codecs() -> Mapping[str, Codec]:
    """Codecs by name."""
    return {
        "raw": RawCodec(),
        "twc": FpzipCodec(16, 1),
        "groups": FpzipCodec(16, 2),
        "all": FpzipCodec(32, 0),
        "delta": DeltaCodec(key_every=3),
        "bricks": BricksCodec(key_every=3),
    }


@pytest.fixture(scope="session")
def videos(samples, codecs, tmp_path_factory):
    """Six frames by codec: the file's bytes, the params that went in, those that come out."""
    made = {}
    for name, codec in codecs.items():
        path = tmp_path_factory.mktemp(name) / "video.inv"
        given = samples.write(path, codec)
        found = NeuralVideo.open(path)
        decoded = {frame: found.params(frame) for frame in found.frames()}
        made[name] = path.read_bytes(), given, decoded
    return made


@pytest.fixture(scope="session")
def parts_of() -> Callable[[bytes], list[bitstream.Part]]:
    """`parts_of(data)`: the parts of a file."""
    return lambda data: list(bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES))


@pytest.fixture(scope="session")
def open_video() -> Callable[[bytes], NeuralVideo]:
    """`open_video(data)`: the video of a file's bytes; its errors call it "the video"."""
    return lambda data: NeuralVideo(BytesSource(data), "the video")
