"""`inv-jax info`: what is in a neural video, and what it takes."""

import json
import pathlib
from typing import Any

from absl import flags

from inv_jax.codec import bitstream, masked
from inv_jax.codec.base import CorruptError
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.per_pixel import PerPixel, per_pixel
from inv_jax.codec.video import NeuralVideo
from inv_jax.commands.stop import Stop
from inv_jax.eval import report

USAGE = "video.inv [--groups] [--check] [--out=table.json]"
POSITIONAL = "video"
REQUIRED = {"video": "give an .inv file"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_string("video", None, "An .inv file.", flag_values=values)
    flags.DEFINE_bool("groups", False, "A line for each group.", flag_values=values)
    flags.DEFINE_bool("check", False, "Decodes every frame.", flag_values=values)
    flags.DEFINE_string("out", "", "Writes the rows to this JSON file too.", flag_values=values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    path = pathlib.Path(values.video).expanduser().absolute()
    with NeuralVideo.open(path) as video:
        return show(video, path, values)


def show(video: NeuralVideo, path: pathlib.Path, values: flags.FlagValues) -> int:
    """Prints what the flags ask for; 1 if something is damaged."""
    rows = group_rows(video)
    taken = per_pixel(video, measures_all=values.check)
    print("\n".join([*describe(video, path), *describe_bits(video, taken)]))
    print(
        report.format_table(
            part_rows(video), ["part", "parts", "bytes", "bits_per_param"], has_summary=False
        )
    )
    if values.groups:
        columns = ["group", "frames", "packets", "color", "bytes", "bits_per_param"]
        print(report.format_table(rows, columns, has_summary=False))
    if values.out:
        report.write_json(pathlib.Path(values.out), rows)
    bad = _check(video) if values.check else []
    for damage in video.damages:
        print(f"damaged: {damage.reason}")
    if values.check:
        total = len(video.frames())
        print(f"{total - len(bad)} of {total} frames can be decoded")
    return 1 if video.damages else 0


def describe(video: NeuralVideo, path: pathlib.Path) -> list[str]:
    """Lines about the whole video."""
    header, frames = video.header, video.frames()
    cameras = header.rig.cameras
    there = f"{len(frames)}, {frames[0]} to {frames[-1]}" if frames else "none"
    owner = "frame"
    if header.segment_frames > 1:
        owner = "segment"
        there += f"; {len(video.segments())} segments, of {header.segment_frames} frames at most"
    return [
        f"{path}: {video.source.size():,} bytes, {'closed' if video.is_closed else 'not closed'}",
        f"frames      {there}; {len(video.groups)} groups; {header.frame_rate:g} frames/s",
        f"codec       {header.codec} {json.dumps(header.settings)}",
        f"params      {header.layout.size:,} a {owner}, {header.color_layout.size:,} shared",
        *_describe_masks(video),
        f"cameras     {cameras.num_cams} of {cameras.width}x{cameras.height}"
        + (", NDC" if cameras.ndc else ""),
        f"made by     {json.dumps(header.provenance)[:300]}",
    ]


def _describe_masks(video: NeuralVideo) -> list[str]:
    """A line about masks, if there are any."""
    layout, size, sets = video.header.layout, 0, 0
    if not layout.masks:
        return []
    for entry in (entry for group in video.groups for entry in group):
        try:
            size += masked.mask_bytes(video.packet(entry))
        except CorruptError:
            continue
        sets += entry.sets
    bits = f", {8 * size / (layout.num_masked * sets):.3f} bits each in packets" if sets else ""
    return [f"masks       {layout.num_masked:,} bits a set of params{bits}"]


def describe_bits(video: NeuralVideo, taken: PerPixel | None) -> list[str]:
    """Lines about bits a pixel, with what the numbers mean."""
    if taken is None:
        return ["bits/pixel  no packet can be decoded"]
    sets = sum(entry.sets for group in video.groups for entry in group)
    measured = "" if taken.measured == sets else f", measured on {taken.measured} of {sets} sets"
    bits = f"{taken.bits:.3f} bits"
    if taken.is_huffman:
        bits += " (mean of a Huffman code"
        of = video.header.settings.get("bits")
        bits += (
            f", efficiency {taken.bits / of:.3f})" if isinstance(of, int) and 0 < of < 64 else ")"
        )
    else:
        bits += " (as its packets take)"
    shared = f" + {taken.shared:,} shared at {taken.shared_bits:.4g} bits" if taken.shared else ""
    return [
        f"sparsity    {100 * taken.sparsity:.2f} % of the params are zero{measured}",
        f"bits/pixel  {taken.by_formula:.6g} by the papers' formula: {taken.params:,} params, "
        f"the non-zero ones at {bits}{shared}",
        f"            {taken.honest:.6g} honest: all of the file's bytes; {taken.pixels:,} pixels, "
        "one view a frame",
    ]


def part_rows(video: NeuralVideo) -> list[dict[str, Any]]:
    """Bytes of each kind of part, heads included."""
    sizes: dict[str, list[int]] = {}
    for found in bitstream.parts(video.source, bitstream.SIGNATURE_BYTES):
        if isinstance(found, range):
            sizes.setdefault("damaged", []).append(len(found))
            continue
        name = found.kind.decode("ascii", "replace")
        if found.kind == bitstream.FRAME:
            name = _packet_name(video, found)
        sizes.setdefault(name, []).append(found.end - found.offset)
    header, counts = video.header, {"key": 0, "predicted": 0}
    for entry in (entry for group in video.groups for entry in group):
        counts["key" if entry.is_key else "predicted"] += entry.sets
    rows = []
    for name, parts in sizes.items():
        kind, _, which = name.partition(", ")
        is_color = kind.encode() in bitstream.COLORS
        layout = header.color_layout if is_color else header.layout
        sets = counts.get(which, len(parts) if is_color else 0)
        bits = bits_per_param(sum(parts), layout, sets) if sets and layout.size else None
        rows.append(
            {"part": name, "parts": len(parts), "bytes": sum(parts), "bits_per_param": bits}
        )
    return rows


def _packet_name(video: NeuralVideo, found: bitstream.Part) -> str:
    try:
        is_key = bitstream.read_entry(video.source, found).is_key
    except CorruptError:
        return "damaged"
    return "FRAM, key" if is_key else "FRAM, predicted"


def group_rows(video: NeuralVideo) -> list[dict[str, Any]]:
    """A row for each group of packets."""
    rows = []
    for number, group in enumerate(video.groups):
        size = 0
        for entry in group:
            found = bitstream.read_head(video.source, entry.offset)
            size += 0 if found is None else found.end - found.offset
        sets = sum(entry.sets for entry in group)
        rows.append(
            {
                "group": number,
                "frames": f"{group[0].first} to {group[-1].end - 1}",
                "packets": len(group),
                "color": group[-1].color,
                "bytes": size,
                "bits_per_param": bits_per_param(size, video.header.layout, sets),
            }
        )
    return rows


def _check(video: NeuralVideo) -> list[int]:
    """Frames that cannot be decoded."""
    bad = []
    for frame in video.frames():
        try:
            video.params(frame)
        except ValueError:
            bad.append(frame)
    return bad
