import dataclasses
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec.base import CorruptError
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.manifest import FileRef, Level, Manifest, Segment, SegmentFile


def _manifest(**changes) -> Manifest:
    refs = [FileRef.of(bytes([n]) * 50) for n in range(6)]
    levels = tuple(
        Level(name, 1000 + n, 2000 + n, refs[n], {1: refs[5]}) for n, name in enumerate(["a", "b"])
    )
    segments = tuple(
        Segment(first, 8, is_key, (SegmentFile(refs[2], (1,)), SegmentFile(refs[3], (1,))))
        for first, is_key in ((1, True), (9, False), (30, True))
    )
    return dataclasses.replace(Manifest(7, False, 29.97, levels, segments), **changes)


def _forged(change) -> bytes:
    """A manifest of which somebody changed a field, and its checksum too."""
    fields = json.loads(_manifest().dump())
    change(fields)
    fields["sha256"] = "0" * 64
    text = json.dumps(fields)
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1).encode()


def test_load_inverts_dump():
    assert manifest_lib.load(_manifest().dump()) == _manifest()


def test_a_forged_manifest_with_nothing_forged_is_read():
    assert manifest_lib.load(_forged(lambda fields: None)) == _manifest()


@pytest.mark.parametrize("step", range(7))
def test_every_flipped_bit_is_found(step):
    text = bytearray(_manifest().dump())
    for place in range(step, len(text), 7):
        text[place] ^= 1 << place % 7
        with pytest.raises(CorruptError):
            manifest_lib.load(bytes(text))
        text[place] ^= 1 << place % 7


def test_every_cut_is_found():
    text = _manifest().dump()
    for size in range(0, len(text), 13):
        with pytest.raises(CorruptError):
            manifest_lib.load(text[:size])


def test_an_unknown_version_is_refused_by_name():
    with pytest.raises(CorruptError, match=r"version 4.*newer"):
        manifest_lib.load(_forged(lambda fields: fields.update(version=4)))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_other_versions_are_read(version):
    found = manifest_lib.load(_forged(lambda fields: fields.update(version=version)))
    assert found == dataclasses.replace(_manifest(), version=version)


def test_other_json_is_refused():
    with pytest.raises(CorruptError, match="not the manifest"):
        manifest_lib.load(b"{}")
    with pytest.raises(CorruptError):
        manifest_lib.load(b"[" * 100_000)


def test_a_huge_manifest_is_refused_unread():
    with pytest.raises(CorruptError, match="longer than"):
        manifest_lib.load(b" " * (manifest_lib.MOST_BYTES + 1))


def _file(fields, **changes):
    fields["segments"][0]["files"][0].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: _file(f, sha256="../../etc/passwd"),
        lambda f: _file(f, sha256="http://elsewhere/" + "0" * 47),
        lambda f: _file(f, sha256="A" * 64),
        lambda f: _file(f, bytes=1 << 40),
        lambda f: _file(f, bytes=-1),
        lambda f: _file(f, bytes=True),
        lambda f: _file(f, bytes=7),  # for eight frames
        lambda f: _file(f, colors=[2]),
        lambda f: _file(f, colors=[]),
        lambda f: f["levels"][0].update(name="\x1b[2J"),
        lambda f: f["levels"][0].update(name="b"),
        lambda f: f.update(levels=[]),
        lambda f: f["segments"][0]["files"].pop(),
        lambda f: f["segments"][1].update(first=8),
        lambda f: f["segments"][1].update(frames=0),
        lambda f: f["segments"][1].update(frames=1 << 30),
        lambda f: f["segments"].reverse(),
        lambda f: f.update(frame_rate=0),
        lambda f: f.update(frame_rate=float("nan")),
        lambda f: f.update(ended=1),
        lambda f: f.update(sequence="7"),
    ],
)
def test_forged_fields_are_refused(change):
    with pytest.raises(CorruptError):
        manifest_lib.load(_forged(change))


def test_file_names_stay_in_the_folder():
    name = FileRef.of(b"content").name
    assert name == hashlib.sha256(b"content").hexdigest() + ".parts"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_json_in_any_place_is_refused_or_read(data):
    def change(fields):
        node = fields
        while True:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = data.draw(st.sampled_from(list(keys)))
            if not node[key] or not isinstance(node[key], (dict, list)) or data.draw(st.booleans()):
                node[key] = data.draw(_JSON)
                return
            node = node[key]

    try:
        manifest_lib.load(_forged(change))
    except CorruptError as error:
        assert "\n" not in str(error)
