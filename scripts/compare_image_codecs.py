"""Rate and distortion of a 2D neural video, beside JPEG of its frames and H.264 of the sequence.

    python scripts/compare_image_codecs.py --workdir=runs/bunny --out=runs/bunny_rate

The run's frames are encoded at several fidelities of the predictive codec and as TWC; every
decoded frame is rendered whole and measured against its picture. JPEG (Pillow, optimised tables)
and H.264 (x264, preset slow, one key frame) take the same pictures at several qualities. PSNR is
of RGB, the mean over frames; bits are those of the whole file, over all pixels of all frames.
Of a neural video they are also given without the shared colors, which a longer video pays once;
beside them stands what JPEG and H.264 reach with as many bits as the whole file. Writes
`table.txt`, `results.json` and `curve.png`.
"""

import pathlib
import sys
from collections.abc import Iterator

import numpy as np
from absl import app, flags, logging
from comparing import usual_codecs
from comparing.usual_codecs import H264, JPEG, Pictures, bits_per_pixel, mean_psnr, points
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from inv_jax.assembly.playback import open_playback
from inv_jax.cli import main as inv_jax
from inv_jax.codec import bitstream
from inv_jax.codec.video import NeuralVideo
from inv_jax.commands.info import part_rows
from inv_jax.eval import report
from inv_jax.report import style
from inv_jax.types import InvError

_WORKDIR = flags.DEFINE_string("workdir", "", "A 2D run (configs/image2d.py).")
_OUT = flags.DEFINE_string("out", "runs/image_codecs", "Folder for the results.")
_FIDELITIES = flags.DEFINE_list("fidelities", ["30", "35", "40", "45"], "Of delta, in dB.")
_PRECISIONS = flags.DEFINE_list("precisions", ["16"], "Of TWC, in bits.")
_COLOR_BITS = flags.DEFINE_integer("color_precision", 16, "Bits of a shared color param.")
_QUALITIES = flags.DEFINE_list("qualities", ["2", "5", "10", "20", "35", "50", "75", "90"], "JPEG.")
_CRFS = flags.DEFINE_list("crfs", ["12", "18", "24", "30", "36", "42", "48"], "Of x264.")

_OTHERS = (JPEG, H264)
_COLUMNS = (
    *("kind", "setting", "bits_per_pixel", "bits_per_pixel_without_color", "psnr"),
    *(f"{kind} at these bits" for kind in _OTHERS),
)


def neural(workdir: pathlib.Path, out: pathlib.Path, truth: Pictures) -> Iterator[dict]:
    """A row for each setting of the codecs, and one for the params as they were trained."""
    yield {"kind": "trained", "setting": "float32", "psnr": _psnr_of(workdir, truth)}
    settings = [("delta", "fidelity", value) for value in _FIDELITIES.value]
    settings += [("twc", "precision", value) for value in _PRECISIONS.value]
    for codec, name, value in settings:
        path = out / f"{codec}_{value}.inv"
        flags_ = [f"--workdir={workdir}", f"--codec={codec}", f"--{name}={value}", f"--out={path}"]
        flags_ += [f"--color_precision={_COLOR_BITS.value}", "--key_every=1000"]
        flags_ += ["--group=0"] if codec == "twc" else []
        if inv_jax(["inv-jax", "encode", *flags_]):
            raise InvError(f"{path} could not be encoded")
        with NeuralVideo.open(path) as video:
            kinds = [kind.decode() for kind in bitstream.COLORS]
            color = sum(row["bytes"] for row in part_rows(video) if row["part"] in kinds)
        yield {
            "kind": codec,
            "setting": value,
            "bits_per_pixel": bits_per_pixel(path.stat().st_size, truth),
            "bits_per_pixel_without_color": bits_per_pixel(path.stat().st_size - color, truth),
            "psnr": _psnr_of(path, truth),
        }


def _psnr_of(path: pathlib.Path, truth: Pictures) -> float:
    playback = open_playback(path)
    views = (
        playback.player.view(frame, playback.rig.cameras, 0).rgb for frame in playback.player.frames
    )
    return mean_psnr((np.asarray(view) for view in views), truth)


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """PSNR against bits per pixel, a line for each kind."""
    figure, (axes,) = style.new_figure(height=3.6)
    for number, kind in enumerate(["delta", "twc", *_OTHERS]):
        found = points(rows, kind)
        look = style.line(number, count=len(found))
        axes.plot(*zip(*found, strict=True), label=kind, **look)
        if kind not in _OTHERS:
            found = points(rows, kind, "bits_per_pixel_without_color")
            axes.plot(*zip(*found, strict=True), **{**look, "linestyle": "--"}, alpha=0.6)
    (trained,) = [row["psnr"] for row in rows if row["kind"] == "trained"]
    axes.axhline(trained, color=style.LIGHT.faint, linestyle=":", linewidth=1.0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    text = "Rate and distortion (dotted: as trained; dashed: without the shared colors)"
    style.title(axes, text, x="bits per pixel", y="PSNR, dB")
    style.label_lines(axes)
    style.write_png(figure, path)


def main(_: list[str]) -> None:
    workdir, out = (pathlib.Path(x).absolute() for x in (_WORKDIR.value, _OUT.value))
    out.mkdir(parents=True, exist_ok=True)
    playback = open_playback(workdir)
    if playback.rig.cameras.num_cams != 1:
        raise InvError(f"{workdir} has several cameras; give a 2D run (configs/image2d.py)")
    truth = [np.asarray(playback.capture.load(f).images)[0] for f in playback.player.frames]
    rows = [
        *neural(workdir, out, truth),
        *usual_codecs.jpeg(truth, list(map(int, _QUALITIES.value))),
        *usual_codecs.video(H264, truth, list(map(int, _CRFS.value))),
    ]
    usual_codecs.add_equal_bits(rows, _OTHERS)
    table = report.format_table(rows, _COLUMNS, has_summary=False)
    print(table)
    (out / "table.txt").write_text(table + "\n")
    report.write_json(out / "results.json", rows)
    draw(rows, out / "curve.png")


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_image_codecs: {error}", file=sys.stderr)
        sys.exit(2)
