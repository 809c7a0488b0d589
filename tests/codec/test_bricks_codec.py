"""The codec of grids: what is decoded, to the bit, what it costs, what it refuses."""

import dataclasses

import numpy as np
import pytest
from bricks_twin import Twin
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import bricks_key, bricks_rate, bricks_state, bricks_walk
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.blocks import Blocks
from inv_jax.codec.both_ways import Pulling, Pushing
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.bricks_state import State
from inv_jax.codec.entropy import Reader, Writer
from inv_jax.codec.rate import RelativeGauge
from inv_jax.types import InvError

_LAYOUT = Layout(
    (
        ("field/structure/level_0/kernel", (5, 4, 6, 3)),
        ("field/structure/level_1/kernel", (9, 8, 11, 3)),
        ("field/structure/bricks/kernel", (6, 4, 4, 4, 3)),
    )
)
_INDEX = (("field/index/bricks/cells", (6,)),)
_SEEDS = st.integers(0, 2**32 - 1)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    made = rng.normal(size=shape)
    for axis in range(len(shape) - 1):
        made = made + np.roll(made, 1, axis)
    return made


def _video(num_frames: int, seed: int = 0, share: float = 0.05) -> list[dict[str, np.ndarray]]:
    """Grids of which a part changes, here and there, most of it where it changed before."""
    rng = np.random.default_rng(seed)
    current = {path: _smooth(rng, shape) for path, shape in _LAYOUT.shapes}
    moving = {path: rng.random(shape[:-1]) < share for path, shape in _LAYOUT.shapes}
    frames = []
    for _ in range(num_frames):
        frames.append({path: leaf.astype(np.float32) for path, leaf in current.items()})
        for path, leaf in current.items():
            leaf[moving[path]] += rng.normal(size=leaf[moving[path]].shape)
    return frames


def _encode(codec: BricksCodec, frames, first: int = 1, layout: Layout = _LAYOUT):
    encoder = codec.encoder(layout)
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
    packets, decoded = _encode(BricksCodec(key_every=5), _video(12))
    decoder = BricksCodec().decoder(_LAYOUT)
    for packet, expected in zip(packets, decoded, strict=True):
        (number, leaves), = decoder.decode(packet).items()  # fmt: skip
        assert number == packet.first
        _assert_same(leaves, expected)
        assert all(leaf.dtype == np.float32 for leaf in leaves.values())


def test_what_a_receiver_has_does_not_change_behind_its_back():
    packets, decoded = _encode(BricksCodec(), _video(4))
    decoder = BricksCodec().decoder(_LAYOUT)
    kept = [decoder.decode(packet)[packet.first] for packet in packets]
    for leaves, expected in zip(kept, decoded, strict=True):
        _assert_same(leaves, expected)


def test_decoding_begins_at_any_key_frame():
    packets, decoded = _encode(BricksCodec(key_every=4, key_frames=(6,)), _video(8))
    assert [packet.first for packet in packets if packet.is_key] == [1, 5, 6]
    decoder = BricksCodec().decoder(_LAYOUT)
    for packet, expected in zip(packets[5:], decoded[5:], strict=True):
        _assert_same(decoder.decode(packet)[packet.first], expected)


def test_a_param_is_a_step_times_a_whole_number():
    packets, _ = _encode(BricksCodec(), _video(3))
    decoder = BricksCodec().decoder(_LAYOUT)
    for packet in packets:
        leaves = decoder.decode(packet)[packet.first]
        state = decoder.state
        for part, step, leaf in zip(
            Blocks.of(_LAYOUT).parts, state.steps, leaves.values(), strict=True
        ):
            codes = part.nodes(state.codes)
            assert step.dtype == np.float32
            np.testing.assert_array_equal(
                leaf.reshape(codes.shape), np.float32(codes) * step[None], strict=True
            )


def test_a_decoder_of_whole_numbers_alone_gets_the_same_codes():
    layout = Layout(
        tuple((f"net/own/l{i}/x", shape) for i, (_, shape) in enumerate(_LAYOUT.shapes))
    )
    frames = [dict(zip(layout.paths, one.values(), strict=True)) for one in _video(5, seed=3)]
    packets, _ = _encode(BricksCodec(fidelity=45.0, key_every=4), frames, layout=layout)
    decoder, twin = BricksCodec().decoder(layout), Twin([shape for _, shape in layout.shapes])
    for packet in packets:
        decoder.decode(packet)
        assert twin.decode(packet.payload) == decoder.state.codes.tolist()
        for own, step in zip(twin.exponents, decoder.state.steps, strict=True):
            np.testing.assert_allclose(2.0 ** (np.array(own) / 8), step, rtol=1e-6)


@pytest.mark.parametrize("fidelity", [20.0, 30.0, 45.0])
def test_every_frame_reaches_the_fidelity_however_many_came_before(fidelity):
    frames = _video(16)
    packets, decoded = _encode(BricksCodec(fidelity=fidelity, key_every=1000), frames)
    assert [packet.is_key for packet in packets] == [True] + [False] * 15
    errors = [RelativeGauge().mse(true, found) for true, found in zip(frames, decoded, strict=True)]
    assert -10 * np.log10(max(errors)) >= fidelity - 0.26
    assert -10 * np.log10(np.mean(errors[1:])) < fidelity + 2.0  # and none is much better


def test_a_frame_that_cannot_be_as_good_with_the_steps_it_has_becomes_a_key():
    frames = _video(4)
    frames[2:] = [{path: leaf / 64 for path, leaf in frame.items()} for frame in frames[2:]]
    packets, decoded = _encode(BricksCodec(fidelity=30.0), frames)
    assert [packet.is_key for packet in packets] == [True, False, True, False]
    errors = [RelativeGauge().mse(true, found) for true, found in zip(frames, decoded, strict=True)]
    assert -10 * np.log10(max(errors)) >= 29.7


def test_params_that_outgrow_their_steps_make_a_key():
    frames = _video(3)
    frames[2] = {path: leaf * 1e8 for path, leaf in frames[2].items()}
    packets, decoded = _encode(BricksCodec(fidelity=30.0), frames)
    assert [packet.is_key for packet in packets] == [True, False, True]
    assert RelativeGauge().mse(frames[2], decoded[2]) < 1e-3


def test_a_frame_that_did_not_change_costs_a_few_bytes():
    frames = _video(1)
    packets, decoded = _encode(BricksCodec(), frames * 4)
    assert all(len(packet.payload) <= 9 for packet in packets[1:])
    _assert_same(decoded[-1], decoded[0])


def test_what_changes_in_one_place_costs_little_and_touches_nothing_else():
    first = _video(1)[0]
    second = {path: leaf.copy() for path, leaf in first.items()}
    path = "field/structure/level_1/kernel"
    second[path][2:4, 5, 7] += 3.0
    packets, decoded = _encode(BricksCodec(fidelity=35.0), [first, second])
    assert len(packets[1].payload) < 60
    changed = np.argwhere((decoded[0][path] != decoded[1][path]).any(axis=-1))
    np.testing.assert_array_equal(changed, [(2, 5, 7), (3, 5, 7)])
    for other in decoded[0].keys() - {path}:
        np.testing.assert_array_equal(decoded[0][other], decoded[1][other])


def test_less_fidelity_costs_fewer_bytes():
    frames = _video(6, share=0.3)
    sizes = [
        [len(packet.payload) for packet in _encode(BricksCodec(fidelity), frames)[0]]
        for fidelity in (20.0, 30.0, 40.0)
    ]
    assert sizes[0][0] < sizes[1][0] < sizes[2][0]
    assert sum(sizes[0][1:]) < 0.9 * sum(sizes[1][1:]) < 0.9 * 0.9 * sum(sizes[2][1:])


def test_a_grid_of_zeros_is_a_byte_for_64_params():
    shapes = (("field/structure/level_0/kernel", (24, 24, 24, 4)),)
    layout = Layout(shapes)
    still = [{path: np.zeros(shape, np.float32) for path, shape in shapes}]
    packets, decoded = _encode(BricksCodec(), still, layout=layout)
    assert len(packets[0].payload) == layout.size // 64
    decoder = BricksCodec().decoder(layout)
    _assert_same(decoder.decode(packets[0])[1], decoded[0])
    shorter = Packet(1, 1, True, packets[0].payload[:-1])
    with pytest.raises(CorruptError, match="at least"):
        decoder.decode(shorter)


@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_an_encoder_goes_on_behind_its_packets_as_if_it_had_made_them(after):
    frames, codec = _video(9), BricksCodec(key_every=4)
    packets, decoded = _encode(codec, frames)
    key = max(n for n in range(after) if packets[n].is_key)
    resumed = codec.encoder(_LAYOUT)
    resumed.resume(packets[key:after])
    _assert_same(resumed.decoded(), decoded[after - 1])
    again = [packet for n in range(after, 9) for packet in resumed.push(n + 1, frames[n])]
    assert again == packets[after:]


def test_rows_whose_index_changed_begin_at_zero():
    layout = dataclasses.replace(_LAYOUT, indices=_INDEX)
    frames, cells = _video(2), np.arange(6, dtype=np.int32)
    path = "field/structure/bricks/kernel"
    frames[1] = {**frames[0], path: frames[0][path].copy()}
    frames[1][path][2] = 0.0  # as of a brick that is new
    moved = np.where(np.arange(6) == 2, 9, cells).astype(np.int32)
    sizes = []
    for second in (cells, moved):
        encoder, decoder = (make(layout) for make in (BricksCodec().encoder, BricksCodec().decoder))
        for number, (leaves, index) in enumerate(zip(frames, (cells, second), strict=True), 1):
            indices = {_INDEX[0][0]: index}
            (packet,) = encoder.push(number, {**leaves, **indices})
            told = dataclasses.replace(packet, indices=indices)
            found = decoder.decode(told)[number]
            _assert_same(found, {p: encoder.decoded()[p] for p in found})
        sizes.append(len(packet.payload))
        assert np.abs(found[path][2]).max() < 0.2 * np.abs(frames[0][path][2]).max()
    assert sizes[1] <= 9 < sizes[0]  # nothing is left to be said of it


# What is coded, without choices.


def _random_grid(rng: np.random.Generator) -> Layout:
    def shape() -> tuple[int, ...]:
        pool = (int(rng.integers(1, 5)), 4, 4, 4) if rng.random() < 0.2 else None
        return pool or tuple(int(n) for n in rng.integers(1, 11, int(rng.integers(0, 4))))

    leaves = range(int(rng.integers(1, 11)))
    return Layout(tuple((f"net/own/l{i}/x", (*shape(), int(rng.integers(1, 15)))) for i in leaves))


def _random_codes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Any density, any size that can be coded."""
    values = np.rint(rng.laplace(scale=4.0 ** rng.integers(-2, 8), size=size)).astype(np.int32)
    return np.where(rng.random(size) < rng.choice([0.0, 0.01, 0.3, 1.0]), values, 0)


@settings(max_examples=40, deadline=None)
@given(_SEEDS)
def test_any_codes_and_any_changes_come_back(seed):
    rng = np.random.default_rng(seed)
    layout = _random_grid(rng)
    grid = Blocks.of(layout)
    codes = _random_codes(rng, grid.size)
    exponents = [rng.integers(-99, 99, part.channels).astype(np.int32) for part in grid.parts]
    writer = Writer()
    coder = Pushing(writer, 7)
    everything = bricks_rate.known(grid, np.arange(grid.size), codes)
    bricks_key.key(coder, grid, (exponents, everything))
    reader = Pulling(Reader(writer.words().tobytes()), 7)
    found_exponents, found = bricks_key.key(reader, grid, None)
    np.testing.assert_array_equal(found, codes)
    for left, right in zip(found_exponents, exponents, strict=True):
        np.testing.assert_array_equal(left, right)
    assert reader.crc == coder.crc
    there, here = (
        State.of_key(grid, 1, codes.copy(), bricks_state.steps_of(exponents), None, 0)
        for _ in range(2)
    )
    for _ in range(3):
        change = _random_codes(rng, grid.size)
        params = np.flatnonzero(change)
        writer, known = Writer(), bricks_rate.known(grid, params, change[params])
        coder = Pushing(writer, 0)
        _walk(coder, grid, there, known)
        reader = Pulling(Reader(writer.words().tobytes()), 0)
        _walk(reader, grid, here, None)
        assert reader.crc == coder.crc
        codes = codes + change
        for state in (there, here):
            np.testing.assert_array_equal(state.codes, codes)
            np.testing.assert_array_equal(
                state.decoded, bricks_state.values(grid, codes, state.steps)
            )


def _walk(coder, grid, state, known) -> None:
    changed = bricks_walk.predicted(coder, grid, state.codes, state.tables, state.recent, known)
    state.advance(grid, changed, {})


# What is refused.


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    return _encode(BricksCodec(fidelity=30.0), _video(3))[0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_goes_unnoticed(packets, data):
    which = data.draw(st.integers(0, 2))
    payload = bytearray(packets[which].payload)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] ^= data.draw(st.integers(1, 255))
    else:
        del payload[data.draw(st.integers(0, len(payload) - 1)) :]
    decoder = BricksCodec().decoder(_LAYOUT)
    for packet in packets[:which]:
        decoder.decode(packet)
    with pytest.raises(CorruptError, match=f"frame {which + 1}:"):
        decoder.decode(dataclasses.replace(packets[which], payload=bytes(payload)))
    if which < 2:
        with pytest.raises(CorruptError, match="none was decoded"):
            decoder.decode(packets[2])


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_bytes_that_no_encoder_made_are_refused(data, is_key):
    decoder = BricksCodec().decoder(_LAYOUT)
    begin = bytes([bricks_state.KEY if is_key else bricks_state.PREDICTED])
    with pytest.raises(CorruptError):
        decoder.decode(Packet(1, 1, is_key, begin + data))


def test_another_reference_than_the_one_that_was_meant_is_noticed(packets):
    others = _encode(BricksCodec(fidelity=30.0), _video(3, seed=1))[0]
    decoder = BricksCodec().decoder(_LAYOUT)
    decoder.decode(others[0])
    with pytest.raises(CorruptError, match="damaged"):
        decoder.decode(packets[1])


def test_a_frame_too_far_is_refused(packets):
    decoder = BricksCodec().decoder(_LAYOUT)
    decoder.decode(packets[0])
    with pytest.raises(CorruptError, match="frame 1 was decoded"):
        decoder.decode(packets[2])


def test_numbers_that_are_not_finite_are_refused():
    (leaves,) = _video(1)
    leaves["field/structure/level_0/kernel"][0, 0, 0, 0] = np.nan
    with pytest.raises(InvError, match="frame 1 holds numbers that are not finite"):
        BricksCodec().encoder(_LAYOUT).push(1, leaves)
