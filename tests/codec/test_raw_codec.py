"""Raw frames: nothing is lost, and the size says whether they are whole."""

import numpy as np
import pytest

from inv_jax.codec.base import CorruptError, Packet
from inv_jax.codec.raw_codec import RawCodec


def test_frames_come_back_bit_for_bit(samples):
    walk = samples.Walk(seed=3)
    layout = samples.STRUCTURE
    encoder, decoder = RawCodec().encoder(layout), RawCodec().decoder(layout)
    for frame in range(4, 7):
        leaves = layout.pick(walk.step())
        (packet,) = encoder.push(frame, leaves)
        assert (packet.first, packet.count, packet.is_key) == (frame, 1, True)
        found = decoder.decode(packet)[frame]
        for path in layout.paths:
            np.testing.assert_array_equal(found[path], leaves[path])
            np.testing.assert_array_equal(encoder.decoded()[path], leaves[path])


def test_a_payload_is_little_endian_float32(samples):
    layout = samples.STRUCTURE
    leaves = layout.pick(samples.Walk().params())
    (packet,) = RawCodec().encoder(layout).push(1, leaves)
    wanted = b"".join(leaves[path].astype("<f4").tobytes() for path in layout.paths)
    assert packet.payload == wanted


@pytest.mark.parametrize("count, excess", [(1, -1), (1, 1), (2, 0)])
def test_another_size_is_refused(samples, count, excess):
    size = 4 * samples.STRUCTURE.size + excess
    packet = Packet(9, count, True, bytes(size))
    with pytest.raises(CorruptError, match=f"frame 9: {size} bytes"):
        RawCodec().decoder(samples.STRUCTURE).decode(packet)
