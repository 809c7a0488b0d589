"""Ways to spoil a neural video. Each takes randomness, a video and others, and gives bytes.

Those in `DAMAGES` leave checksums alone: whatever decodes must be as it was. Those in `FORGERIES`
repair them, as an enemy would, so that what lies behind the checksums is reached.
"""

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

from inv_jax.codec import bitstream, index
from inv_jax.codec.source import BytesSource

Parts = list[tuple[bytes, bytes]]  # kind and payload
Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]

_EXTREMES = [0, 1, 2, 3, 7, 255, 256, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
_EXTREMES_64 = [*_EXTREMES, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
_KINDS = [
    bitstream.META,
    *bitstream.COLORS,
    bitstream.FRAME,
    bitstream.INDEX,
    bitstream.TAIL,
    b"ABCD",
]
_NUMBERED = (*bitstream.COLORS, bitstream.FRAME)
_NUMBERS_BYTES = {bitstream.FRAME: 16, **dict.fromkeys(bitstream.WHOLE_COLORS, 4)}
_NUMBERS_BYTES[bitstream.COLOR_DIFF] = 8
_INDEX_ROW = 28
_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2, 10**6, 2**31, 2**63, 10**400, -(10**400), 0.5, 1e308, -1e308,
    float("nan"), float("inf"), "", "x", "a/b", "../..", "\x1b[2J\n\0", "\ud800", "x" * 100_000,
    [], [[]], [0], [2**40] * 4, [1] * 10_000, {}, {"x": {}}, "raw", "twc", "delta", "quant",
    "bricks",
]  # fmt: skip


def split(data: bytes) -> Parts:
    """The parts of a whole file."""
    source = BytesSource(data)
    found = bitstream.parts(source, bitstream.SIGNATURE_BYTES)
    return [
        (part.kind, bitstream.read_payload(source, part))
        for part in found
        if not isinstance(part, range)
    ]


def join(parts: Parts, *, with_index: bool = True) -> bytes:
    """A file of these parts with right checksums; its index is made anew, or left out."""
    data, entries = bitstream.signature(), []
    for kind, payload in parts:
        if kind in (bitstream.INDEX, bitstream.TAIL):
            continue
        made = bitstream.part(kind, payload)
        if kind in _NUMBERED and len(payload) >= 16:
            *numbers, last = struct.unpack("<IIII", payload[:16])
            flags = bool(last & 1), bool(last & 2)
            numbers = [*numbers, *flags] if kind == bitstream.FRAME else [numbers[0], 0, 0, False]
            entries.append(bitstream.Entry(len(data), kind, *numbers))
        data += made
    return data + index.closing(entries, len(data)) if with_index else data


def _place(rng: random.Random, size: int) -> int:
    return rng.randrange(max(1, size))


def _stretch(rng: random.Random, size: int) -> tuple[int, int]:
    start = _place(rng, size)
    return start, min(size, start + rng.choice([1, 2, 4, 16, 64, 300, 3000]))


def _flipped(rng: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64]) if spoilt else 0):
        spoilt[_place(rng, len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


# Damages.


def flip_bits(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return _flipped(rng, data)


def cut_end(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: _place(rng, len(data))]


def cut_range(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start, end = _stretch(rng, len(data))
    return data[:start] + data[end:]


def repeat_range(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start, end = _stretch(rng, len(data))
    return data[:end] + data[start:end] * rng.choice([1, 2, 20]) + data[end:]


def insert_bytes(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at, size = _place(rng, len(data)), rng.choice([1, 3, 16, 500])
    made = rng.choice([rng.randbytes(size), bytes(size), rng.choice(_KINDS) * size])
    return data[:at] + made + data[at:]


def overwrite_range(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start, end = _stretch(rng, len(data))
    return data[:start] + rng.choice([rng.randbytes(end - start), bytes(end - start)]) + data[end:]


def move_parts(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Whole parts repeated, left out, or in another order; the index is right or missing."""
    first, *rest = split(data)
    for _ in range(rng.randint(1, 3)):
        one = _place(rng, len(rest))
        how = rng.randrange(3)
        if how == 0 and len(rest) > 1:
            del rest[one]
        elif how == 1:
            rest.insert(_place(rng, len(rest)), rest[one])
        else:
            rng.shuffle(rest)
    return join([first, *rest], with_index=rng.random() < 0.5)


# Forgeries.


def forge_head(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """A head with another kind or size, and a right checksum."""
    found = [p for p in bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES)]
    part = rng.choice(found)
    kind, size = part.kind, part.size
    if rng.random() < 0.3:
        kind = rng.choice(_KINDS)
    else:
        size = rng.choice([*_EXTREMES, size - 1, size + 1, len(data)]) & 0xFFFFFFFF
    head = struct.pack("<4sII", kind, size, part.crc)
    head += struct.pack("<I", zlib.crc32(head))
    return data[: part.offset] + head + data[part.offset + len(head) :]


def forge_payload(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Frames or colors of other bytes: this is what codecs see."""
    parts = split(data)
    there = sorted({kind for kind, _ in parts}.intersection(bitstream.COLORS))
    wanted = rng.choice([bitstream.FRAME, bitstream.FRAME, *there])
    at = rng.choice([i for i, (kind, _) in enumerate(parts) if kind == wanted])
    kind, payload = parts[at]
    skip = _NUMBERS_BYTES[kind]
    head, body = payload[:skip], payload[skip:]
    how = rng.randrange(6)
    if how <= 1:
        body = _flipped(rng, body)
    elif how == 2:
        body = rng.randbytes(len(body))
    elif how == 3:
        body = body[: _place(rng, len(body))] + bytes(rng.choice([0, 1, 100, 5000]))
    elif how == 4:
        start, end = _stretch(rng, len(body))
        body = body[:start] + rng.randbytes(end - start) + body[end:]
    else:
        at_word = 4 * _place(rng, len(body) // 4)
        word = struct.pack("<I", rng.choice(_EXTREMES))
        body = body[:at_word] + word + body[at_word + 4 :]
    parts[at] = kind, head + body
    return join(parts, with_index=rng.random() < 0.5)


def forge_numbers(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """First frame, count, color or flag of packets; ids of colors and of their bases."""
    parts = split(data)
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.choice([i for i, (k, _) in enumerate(parts) if k in _NUMBERED])
        kind, payload = parts[at]
        offset = 4 * rng.randrange(_NUMBERS_BYTES[kind] // 4)
        before = struct.unpack_from("<I", payload, offset)[0]
        value = rng.choice([*_EXTREMES, before + 1, before - 1]) & 0xFFFFFFFF
        parts[at] = kind, payload[:offset] + struct.pack("<I", value) + payload[offset + 4 :]
    return join(parts, with_index=rng.random() < 0.5)


def forge_index(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """An index or a tail of other numbers."""
    parts = split(data)
    body = data[: -sum(16 + len(payload) for _, payload in parts[-2:])]
    index, tail = bytearray(parts[-2][1]), bytearray(parts[-1][1])
    how = rng.randrange(5)
    if how == 0:
        struct.pack_into("<Q", tail, 8 * rng.randrange(2), rng.choice([*_EXTREMES_64, len(body)]))
    elif how == 1:
        row = _INDEX_ROW * _place(rng, len(index) // _INDEX_ROW)
        struct.pack_into("<Q", index, row, rng.choice([*_EXTREMES_64, len(body), len(body) - 16]))
    elif how == 2:
        row = _INDEX_ROW * _place(rng, len(index) // _INDEX_ROW)
        struct.pack_into("<I", index, row + 4 * rng.randrange(2, 7), rng.choice(_EXTREMES))
    elif how == 3:
        index = index[:_INDEX_ROW] * rng.choice([0, 2, 1000, 20_000])
    else:
        index = bytearray(_flipped(rng, bytes(index)))
    if rng.random() < 0.7:  # the tail agrees
        counts = [row[3] for row in struct.iter_unpack("<Q4sIIII", index)]
        struct.pack_into("<Q", tail, 8, sum(counts))
    made = bitstream.part(bitstream.INDEX, bytes(index))
    return body + made + bitstream.part(bitstream.TAIL, bytes(tail))


def forge_description(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """The JSON of META: a value somewhere in it, or all of it."""
    (_, payload), *rest = split(data)
    if rng.random() < 0.15:
        return join([(bitstream.META, _odd_description(rng, payload)), *rest])
    fields = json.loads(zlib.decompress(payload))
    for _ in range(rng.choice([1, 1, 1, 4])):
        node: Any = fields
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            key = rng.choice(keys)
            child = node[key]
            if not (isinstance(child, (dict, list)) and child) or rng.random() < 0.2:
                break
            node = child
        how = rng.random()
        if how < 0.1:
            del node[key]
        elif how < 0.2 and isinstance(node, list):
            node += copy.deepcopy(node[:100]) * rng.choice([1, 30])
        elif how < 0.3 and isinstance(child, int):
            node[key] = child + rng.choice([-1, 1])
        else:
            node[key] = copy.deepcopy(rng.choice(_VALUES))
        if not fields:
            break
    return join([(bitstream.META, zlib.compress(json.dumps(fields).encode())), *rest])


def _odd_description(rng: random.Random, payload: bytes) -> bytes:
    how = rng.randrange(7)
    if how == 0:
        return payload[: _place(rng, len(payload))]
    if how == 1:
        return _flipped(rng, payload)
    texts = [
        bytes(50_000_000 if rng.random() < 0.05 else 2_000_000),
        b"[" * 500_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" + b"[]," * rng.choice([10, 300_000]) + b"[]]",
        b"9" * rng.choice([10, 100_000]),
    ]
    return zlib.compress(texts[how - 2], 1)


def forge_version(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    head = bitstream.MAGIC + struct.pack(
        "<HH", rng.choice([0, 1, 2, 3, 4, 5, 6, 65535]), rng.randrange(65536)
    )
    return head + struct.pack("<I", zlib.crc32(head)) + data[bitstream.SIGNATURE_BYTES :]


def mix_videos(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Parts of another video among one's own."""
    parts, foreign = split(data), split(rng.choice(others))
    for _ in range(rng.randint(1, 3)):
        at, one = rng.randrange(len(parts)), rng.choice(foreign)
        if rng.random() < 0.5:
            parts[at] = one
        else:
            parts.insert(at, one)
    return join(parts, with_index=rng.random() < 0.5)


def many_parts(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Thousands of small parts, or what looks like them."""
    first, *rest = split(data)
    count, how = rng.choice([100, 2000]), rng.randrange(4)
    if how == 0:
        made = bitstream.part(rng.choice(_KINDS), b"") * count
    elif how == 1:
        made = b"".join(_numbered(rng, i) for i in range(count))
    elif how == 2:
        made = rng.choice(_KINDS) * count * 4
    else:
        made = b"".join(_numbered(rng, rng.choice(_EXTREMES)) + b"\0" for _ in range(count))
    return join([first, *rest], with_index=False) + made


def _numbered(rng: random.Random, first: int) -> bytes:
    body = rng.randbytes(rng.choice([0, 1, 20]))
    return bitstream.part(bitstream.FRAME, struct.pack("<IIII", first, 1, 1, 0) + body)


def combine(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A forgery, and damage on top of it."""
    made = rng.choice([forge_payload, forge_numbers, forge_description])(rng, data, others)
    return rng.choice([flip_bits, cut_end, cut_range, repeat_range])(rng, made, others)


DAMAGES: tuple[Mutation, ...] = (
    flip_bits, cut_end, cut_range, repeat_range, insert_bytes, overwrite_range, move_parts,
)  # fmt: skip
FORGERIES: tuple[Mutation, ...] = (
    forge_head, forge_payload, forge_payload, forge_numbers, forge_index, forge_description,
    forge_description, forge_version, mix_videos, many_parts, combine,
)  # fmt: skip
