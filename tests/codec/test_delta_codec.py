"""The predictive codec: what is decoded, what it costs, what it refuses."""

import time

import numpy as np
import pytest

from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.rate import RelativeGauge
from inv_jax.types import InvError

_LAYOUT = Layout(
    (
        ("coarse/structure/layer_0/bias", (24,)),
        ("coarse/structure/layer_0/kernel", (15, 24)),
        ("fine/structure/layer_0/bias", (24,)),
        ("fine/structure/layer_0/kernel", (15, 24)),
        ("fine/structure/layer_1/bias", (24,)),
        ("fine/structure/layer_1/kernel", (24, 24)),
    )
)


def _video(num_frames: int, seed: int = 0, pace: float = 0.02) -> list[dict[str, np.ndarray]]:
    """Params that wander, as training makes them: most hardly, a few far."""
    rng = np.random.default_rng(seed)
    current = _LAYOUT.ravel({path: rng.normal(size=shape) for path, shape in _LAYOUT.shapes})
    speed = pace * np.exp(rng.normal(size=current.size))
    frames = []
    for _ in range(num_frames):
        frames.append(_LAYOUT.unravel(current.astype(np.float32)))
        current = current + speed * rng.normal(size=current.size)
    return frames


def _encode(codec: DeltaCodec, frames, first: int = 1):
    encoder = codec.encoder(_LAYOUT)
    packets, decoded = [], []
    for number, leaves in enumerate(frames, first):
        packets += encoder.push(number, leaves)
        decoded.append(encoder.decoded())
    assert encoder.finish() == []
    return packets, decoded


def _assert_same(left, right) -> None:
    assert left.keys() == right.keys()
    for path, leaf in left.items():
        np.testing.assert_array_equal(leaf, right[path], err_msg=path)


def test_a_receiver_has_what_the_encoder_says_it_has():
    packets, decoded = _encode(DeltaCodec(key_every=5), _video(12))
    decoder = DeltaCodec().decoder(_LAYOUT)
    for packet, expected in zip(packets, decoded, strict=True):
        (number, leaves), = decoder.decode(packet).items()  # fmt: skip
        assert number == packet.first
        _assert_same(leaves, expected)
        assert all(leaf.dtype == np.float32 for leaf in leaves.values())


def test_each_frame_is_sent_at_once_and_keys_come_when_they_should():
    packets, _ = _encode(DeltaCodec(key_every=4, key_frames=(3, 9)), _video(10), first=1)
    assert [(packet.first, packet.count) for packet in packets] == [(n, 1) for n in range(1, 11)]
    assert [packet.first for packet in packets if packet.is_key] == [1, 3, 7, 9]


def test_decoding_begins_at_any_key_frame():
    packets, decoded = _encode(DeltaCodec(key_every=4), _video(8))
    decoder = DeltaCodec().decoder(_LAYOUT)
    for packet, expected in zip(packets[4:], decoded[4:], strict=True):
        _assert_same(decoder.decode(packet)[packet.first], expected)


@pytest.mark.parametrize("fidelity", [25.0, 40.0, 60.0])
def test_every_frame_reaches_the_fidelity_however_many_came_before(fidelity):
    frames = _video(30)
    _, decoded = _encode(DeltaCodec(fidelity=fidelity, key_every=1000), frames)
    errors = [RelativeGauge().mse(true, found) for true, found in zip(frames, decoded, strict=True)]
    assert -10 * np.log10(max(errors)) >= fidelity - 0.26
    assert -10 * np.log10(np.mean(errors[1:])) < fidelity + 2.0  # and none is much better


def test_less_fidelity_costs_fewer_bytes():
    frames = _video(8)
    sizes = [
        sum(len(packet.payload) for packet in _encode(DeltaCodec(fidelity), frames)[0][1:])
        for fidelity in (30.0, 40.0, 50.0)
    ]
    assert sizes[0] < 0.8 * sizes[1] < 0.8 * 0.8 * sizes[2]


def test_a_frame_that_hardly_moved_costs_hardly_anything():
    frames = _video(1)
    packets, decoded = _encode(DeltaCodec(), [frames[0]] * 4)
    assert all(len(packet.payload) < _LAYOUT.size / 40 for packet in packets[1:])
    _assert_same(decoded[-1], decoded[0])


def test_steady_motion_is_predicted():
    rng = np.random.default_rng(5)
    start, speed = rng.normal(size=_LAYOUT.size), 0.05 * rng.normal(size=_LAYOUT.size)
    steady = [_LAYOUT.unravel((start + n * speed).astype(np.float32)) for n in range(8)]
    packets, _ = _encode(DeltaCodec(), steady)
    assert len(packets[7].payload) < 0.6 * len(packets[1].payload)


def test_what_the_picture_does_not_show_costs_no_bits():
    class FineOnly(RelativeGauge):
        def mse(self, true, changed) -> float:
            fine = [path for path in true if path.startswith("fine")]
            return super().mse({p: true[p] for p in fine}, {p: changed[p] for p in fine})

    class Anything(FineOnly):
        """Not a `RelativeGauge` for the encoder: it is asked, not known."""

    class Picture:
        mse = Anything().mse

    frames = _video(4)
    encoder = DeltaCodec().encoder(_LAYOUT, Picture())
    for number, leaves in enumerate(frames, 1):
        encoder.push(number, leaves)
    moved = encoder.decoded()
    assert FineOnly().mse(frames[-1], moved) < 1.07e-4
    unseen = "coarse/structure/layer_0/kernel"
    assert (
        len(np.unique(moved[unseen])) < 5 < len(np.unique(moved[unseen.replace("coarse", "fine")]))
    )


def test_a_key_frame_is_never_shorter_than_an_eighth_of_its_params():
    still = [{path: np.zeros(shape, np.float32) for path, shape in _LAYOUT.shapes}]
    packets, decoded = _encode(DeltaCodec(), still)
    assert len(packets[0].payload) == -(-_LAYOUT.size // 8)
    decoder = DeltaCodec().decoder(_LAYOUT)
    _assert_same(decoder.decode(packets[0])[1], decoded[0])
    shorter = Packet(1, 1, True, packets[0].payload[:-1])
    with pytest.raises(CorruptError, match="at least"):
        decoder.decode(shorter)


@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_an_encoder_goes_on_behind_its_packets_as_if_it_had_made_them(after):
    frames, codec = _video(9), DeltaCodec(key_every=4)
    packets, decoded = _encode(codec, frames)
    key = max(n for n in range(after) if packets[n].is_key)
    resumed = codec.encoder(_LAYOUT)
    resumed.resume(packets[key:after])
    _assert_same(resumed.decoded(), decoded[after - 1])
    for number in range(after, len(frames)):
        assert resumed.push(number + 1, frames[number]) == [packets[number]]


def test_steps_say_how_finely_a_frame_was_rounded():
    frames = _video(3)
    encoder = DeltaCodec().encoder(_LAYOUT)
    for number, leaves in enumerate(frames, 1):
        encoder.push(number, leaves)
    steps, decoded = encoder.steps(), encoder.decoded()
    worst = max(np.max(np.abs(frames[-1][p] - decoded[p]) / steps[p]) for p in _LAYOUT.paths)
    assert 0.4 < worst < 2.0  # half a step, and what was not worth its bits


def test_old_packets_keep_their_meaning():
    """Bytes and values as first published; whoever must change them, changes the kind's byte."""
    layout = Layout((("fine/structure/a/bias", (3,)), ("fine/structure/a/kernel", (2, 3))))
    payloads = (
        "d0288d23400500000071bfd3ecb2c71b79ec45372126bcff4255000000",
        "d1397a304a91360bdb21cfa4ae4e000000",
        "d12763ab5f1a1efea0f97ed32a",
    )
    values = (
        "eca1ff3e1e8b86be1e8b063e42fe783f42fe78bfb2be3a3f42fef8bed7fea53ed7fea5bd",
        "735b1c3f1e8b86be5009a33c3ad7993f42fe78bfb2be3a3f104ebebed01ba1bcd7fea5bd",
        "a054353f1e8b86be17079fbd5084b33f42fe78bfb2be3a3fe4f38abe3f20a4bed7fea5bd",
    )
    decoder = DeltaCodec().decoder(layout)
    for number, (payload, expected) in enumerate(zip(payloads, values, strict=True)):
        found = decoder.decode(Packet(number, 1, number == 0, bytes.fromhex(payload)))
        assert layout.ravel(found[number]).astype("<f4").tobytes().hex() == expected


# What it refuses.


def test_numbers_that_are_not_finite_are_refused():
    frames = _video(1)
    frames[0]["fine/structure/layer_1/bias"][3] = np.nan
    with pytest.raises(InvError, match=r"frame 1 .*finite"):
        DeltaCodec().encoder(_LAYOUT).push(1, frames[0])


def test_frames_must_come_in_order():
    frames, encoder = _video(2), DeltaCodec().encoder(_LAYOUT)
    encoder.push(1, frames[0])
    with pytest.raises(InvError, match="frame 3 follows frame 1"):
        encoder.push(3, frames[1])


@pytest.mark.parametrize(
    "settings", [{"fidelity": 0.0}, {"fidelity": float("nan")}, {"key_every": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvError, match="want"):
        DeltaCodec(**settings)


def test_a_predicted_frame_wants_the_very_frame_before_it():
    packets, _ = _encode(DeltaCodec(), _video(5))
    decoder = DeltaCodec().decoder(_LAYOUT)
    with pytest.raises(CorruptError, match=r"frame 2: .*none was decoded"):
        decoder.decode(packets[1])
    decoder.decode(packets[0])
    with pytest.raises(CorruptError, match=r"frame 3: .*but frame 1 was decoded"):
        decoder.decode(packets[2])
    with pytest.raises(CorruptError, match="none was decoded"):  # until the next key frame
        decoder.decode(packets[1])
    decoder.decode(packets[0])
    decoder.decode(packets[1])


def test_the_reference_of_another_video_is_noticed():
    mine, _ = _encode(DeltaCodec(), _video(2, seed=0))
    other, _ = _encode(DeltaCodec(), _video(2, seed=1))
    decoder = DeltaCodec().decoder(_LAYOUT)
    decoder.decode(other[0])
    with pytest.raises(CorruptError):
        decoder.decode(mine[1])


def test_a_key_frame_is_not_taken_for_a_predicted_one():
    packets, _ = _encode(DeltaCodec(), _video(2))
    decoder = DeltaCodec().decoder(_LAYOUT)
    decoder.decode(packets[0])
    with pytest.raises(CorruptError, match="kind"):
        decoder.decode(Packet(2, 1, False, packets[0].payload))
    with pytest.raises(CorruptError):
        decoder.decode(Packet(2, 1, True, packets[1].payload))


def test_packets_of_several_frames_are_refused():
    packets, _ = _encode(DeltaCodec(), _video(1))
    with pytest.raises(CorruptError, match="3 frames"):
        DeltaCodec().decoder(_LAYOUT).decode(Packet(1, 3, True, packets[0].payload))


@pytest.mark.parametrize("place", [0, 1])
def test_damaged_bytes_are_an_error_and_never_another_frame(place):
    packets, decoded = _encode(DeltaCodec(), _video(2))
    rng, target = np.random.default_rng(place), packets[place]
    for trial in range(300):
        data = bytearray(target.payload)
        if trial % 3 == 0:
            data = data[: rng.integers(len(data))]
        elif trial % 3 == 1:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        else:
            start = rng.integers(len(data))
            data[start : start + rng.integers(1, 40)] = rng.bytes(rng.integers(60))
        if bytes(data) == target.payload:
            continue
        decoder = DeltaCodec().decoder(_LAYOUT)
        if place:
            decoder.decode(packets[0])
        begin = time.perf_counter()
        with pytest.raises(CorruptError):
            decoder.decode(Packet(target.first, 1, target.is_key, bytes(data)))
        assert time.perf_counter() - begin < 1.0
    assert decoded


def test_a_layout_of_another_model_is_noticed():
    packets, _ = _encode(DeltaCodec(), _video(1))
    fewer = Layout(_LAYOUT.shapes[:-1])
    with pytest.raises(CorruptError):
        DeltaCodec().decoder(fewer).decode(packets[0])


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 5), (5, 1), (2, 3, 4), ()])
def test_leaves_of_any_shape_are_stored(shape):
    layout = Layout((("fine/structure/odd/leaf", shape), ("fine/structure/odd/other", (7, 2))))
    rng = np.random.default_rng(0)
    encoder, decoder = DeltaCodec().encoder(layout), DeltaCodec().decoder(layout)
    for number in range(3):
        leaves = {p: np.asarray(rng.normal(size=s), np.float32) for p, s in layout.shapes}
        (packet,) = encoder.push(number, leaves)
        found = decoder.decode(packet)[number]
        assert RelativeGauge().mse(leaves, found) <= 1.07e-4
        assert {p: leaf.shape for p, leaf in found.items()} == dict(layout.shapes)
