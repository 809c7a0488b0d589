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

import io
import pathlib
import sys
from collections.abc import Iterable, Iterator

import av
import numpy as np
from absl import app, flags, logging
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

from inv_jax.assembly.playback import open_playback
from inv_jax.cli import main as inv_jax
from inv_jax.codec import bitstream
from inv_jax.codec.video import NeuralVideo
from inv_jax.commands.info import part_rows
from inv_jax.eval import measures, report
from inv_jax.report import style
from inv_jax.types import InvError

_WORKDIR = flags.DEFINE_string("workdir", "", "A 2D run (configs/image2d.py).")
_OUT = flags.DEFINE_string("out", "runs/image_codecs", "Folder for the results.")
_FIDELITIES = flags.DEFINE_list("fidelities", ["30", "35", "40", "45"], "Of delta, in dB.")
_PRECISIONS = flags.DEFINE_list("precisions", ["16"], "Of TWC, in bits.")
_COLOR_BITS = flags.DEFINE_integer("color_precision", 16, "Bits of a shared color param.")
_QUALITIES = flags.DEFINE_list("qualities", ["2", "5", "10", "20", "35", "50", "75", "90"], "JPEG.")
_CRFS = flags.DEFINE_list("crfs", ["12", "18", "24", "30", "36", "42", "48"], "Of x264.")

_OTHERS = ("JPEG", "H.264")
_COLUMNS = (
    *("kind", "setting", "bits_per_pixel", "bits_per_pixel_without_color", "psnr"),
    *(f"{kind} at these bits" for kind in _OTHERS),
)

Pictures = list[np.ndarray]  # (H, W, 3) uint8


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
            "bits_per_pixel": _bits(path.stat().st_size, truth),
            "bits_per_pixel_without_color": _bits(path.stat().st_size - color, truth),
            "psnr": _psnr_of(path, truth),
        }


def _psnr_of(path: pathlib.Path, truth: Pictures) -> float:
    playback = open_playback(path)
    views = (
        playback.player.view(frame, playback.rig.cameras, 0).rgb for frame in playback.player.frames
    )
    return _mean_psnr((np.asarray(view) for view in views), truth)


def jpeg(truth: Pictures) -> Iterator[dict]:
    """A row for each quality: every frame on its own."""
    for quality in map(int, _QUALITIES.value):
        files = [io.BytesIO() for _ in truth]
        for file, picture in zip(files, truth, strict=True):
            Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
        decoded = [np.asarray(Image.open(file).convert("RGB")) / 255.0 for file in files]
        size = sum(len(file.getvalue()) for file in files)
        yield {
            "kind": "JPEG",
            "setting": str(quality),
            "bits_per_pixel": _bits(size, truth),
            "psnr": _mean_psnr(decoded, truth),
        }


def h264(truth: Pictures) -> Iterator[dict]:
    """A row for each constant rate factor: the sequence as a video."""
    height, width = truth[0].shape[:2]
    margins = ((0, height % 2), (0, width % 2), (0, 0))  # 4:2:0 takes even sizes alone
    padded = [np.pad(picture, margins, mode="edge") for picture in truth]
    for crf in _CRFS.value:
        file = io.BytesIO()
        with av.open(file, "w", format="h264") as container:
            options = {"crf": crf, "preset": "slow", "g": str(len(truth))}
            stream = container.add_stream("libx264", rate=30, options=options)
            stream.height, stream.width = padded[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for picture in padded:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
        size = len(file.getvalue())
        file.seek(0)
        with av.open(file, format="h264") as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode()]
        decoded = [frame[:height, :width] / 255.0 for frame in frames]
        yield {
            "kind": "H.264",
            "setting": crf,
            "bits_per_pixel": _bits(size, truth),
            "psnr": _mean_psnr(decoded, truth),
        }


def _bits(num_bytes: int, truth: Pictures) -> float:
    return 8.0 * num_bytes / sum(picture.shape[0] * picture.shape[1] for picture in truth)


def _mean_psnr(decoded: Iterable[np.ndarray], truth: Pictures) -> float:
    measure = measures.make(("psnr",))
    return float(np.mean([measure(a, b)["psnr"] for a, b in zip(decoded, truth, strict=True)]))


def add_equal_bits(rows: list[dict]) -> None:
    """Adds the PSNR of the other kinds at the bits of each neural video, where they have it."""
    for kind in _OTHERS:
        bits, psnr = np.array(_points(rows, kind)).T
        for row in rows:
            if row["kind"] not in _OTHERS and "bits_per_pixel" in row:
                found = np.interp(
                    np.log(row["bits_per_pixel"]), np.log(bits), psnr, left=np.nan, right=np.nan
                )
                row[f"{kind} at these bits"] = None if np.isnan(found) else round(float(found), 3)


def _points(rows: list[dict], kind: str, bits: str = "bits_per_pixel") -> list[tuple]:
    return sorted((row[bits], row["psnr"]) for row in rows if row["kind"] == kind)


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """PSNR against bits per pixel, a line for each kind."""
    figure, (axes,) = style.new_figure(height=3.6)
    for number, kind in enumerate(["delta", "twc", *_OTHERS]):
        points = _points(rows, kind)
        look = style.line(number, count=len(points))
        axes.plot(*zip(*points, strict=True), label=kind, **look)
        if kind not in _OTHERS:
            points = _points(rows, kind, "bits_per_pixel_without_color")
            axes.plot(*zip(*points, strict=True), **{**look, "linestyle": "--"}, alpha=0.6)
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
    rows = [*neural(workdir, out, truth), *jpeg(truth), *h264(truth)]
    add_equal_bits(rows)
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
