r"""Rate and distortion of NeRV on a clip, beside JPEG, H.264 and H.265 of the same frames.

    python scripts/compare_clip_codecs.py --clip=CLIP --workdir=runs/clip_rate \
        --config=configs/nerv.py:small --epochs=300

Trains the config at some sizes (`--channels`, of the grid and, at least, of the blocks), prunes
each and trains it on (`--prune_ratio`, `--prune_epochs`), and encodes all of them at some numbers
of bits with the `quant` codec. What is measured is the decoded file: whole pictures of all frames
against the clip's. Bits are those of the whole file over all pixels of all frames, and beside them
the paper's formula. JPEG (Pillow), H.264 and H.265 (x264 and x265, preset slow, one key frame) take
the same pictures; beside each network stands what they reach with as many bits. Runs that are there
are not trained again. Writes `table.txt`, `results.json`, `curve.png` and `pictures.png`: a frame
of the clip, and of it at a low, a middle and a high rate.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Iterator

import numpy as np
from absl import app, flags, logging
from comparing import usual_codecs
from comparing.usual_codecs import H264, H265, JPEG, Pictures, mean_psnr, points
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from inv_jax.assembly.playback import open_playback
from inv_jax.cli import main as inv_jax
from inv_jax.codec.per_pixel import per_pixel
from inv_jax.codec.video import NeuralVideo
from inv_jax.cost import count
from inv_jax.eval import pictures, report, sheets
from inv_jax.report import style
from inv_jax.types import InvError

_CLIP = flags.DEFINE_string("clip", "", "A video file, a folder of pictures, or a pattern.")
_CONFIG = flags.DEFINE_string("config", "configs/nerv.py:small", "What is trained.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/clip_rate", "Folder for runs and results.")
_OVERRIDES = flags.DEFINE_list("set", [], "Settings for all runs, as data.num_frames=24.")
_CHANNELS = flags.DEFINE_list("channels", ["12", "24", "48"], "Channels of the grid: the sizes.")
_EPOCHS = flags.DEFINE_integer("epochs", 300, "Of each size.")
_RATIO = flags.DEFINE_float("prune_ratio", 0.4, "Part of the kernels' params that is kept.")
_PRUNE_EPOCHS = flags.DEFINE_integer("prune_epochs", 100, "Of training on; 0: nothing is pruned.")
_BITS = flags.DEFINE_list("bits", ["4", "6", "8"], "Of a param.")
_QUALITIES = flags.DEFINE_list("qualities", ["2", "5", "10", "20", "35", "50", "75", "90"], "JPEG.")
_CRFS = flags.DEFINE_list("crfs", ["12", "18", "24", "30", "36", "42", "48"], "x264 and x265.")

_OTHERS = (JPEG, H264, H265)
_COLUMNS = (
    *("kind", "setting", "params", "bits_per_pixel", "bits_per_pixel_paper", "psnr"),
    *(f"{kind} at these bits" for kind in _OTHERS),
)


@dataclasses.dataclass(frozen=True)
class Size:
    """A network of one size, trained or also pruned."""

    channels: int
    is_pruned: bool = False

    @property
    def kind(self) -> str:
        """What its rows and its line are called."""
        return f"NeRV {self.channels}" + (", pruned" if self.is_pruned else "")

    @property
    def workdir(self) -> pathlib.Path:
        """Where its run is."""
        name = f"c{self.channels}" + ("_pruned" if self.is_pruned else "")
        return pathlib.Path(_WORKDIR.value).absolute() / name

    def train(self) -> None:
        """Trains it, or goes on.

        Raises:
          InvError: If that fails.
        """
        settings = [f"data.path={_CLIP.value}", *_OVERRIDES.value]
        settings += [f"model.channels={self.channels}", f"model.lower_width={self.channels}"]
        if self.is_pruned:
            settings += [f"train.init_from={Size(self.channels).workdir}", "train.lr_warmup=0.0"]
            settings += [f"train.epochs={_PRUNE_EPOCHS.value}", f"prune.ratio={_RATIO.value}"]
            settings += ["prune.steps=(0.0,)"]
        else:
            settings += [f"train.epochs={_EPOCHS.value}"]
        _run("train", f"--config={_CONFIG.value}", *(f"--config.{one}" for one in settings),
             f"--workdir={self.workdir}")  # fmt: skip

    def rows(self, truth: Pictures) -> Iterator[dict]:
        """A row for each number of bits, and one for the params as they were trained."""
        whole = {"kind": self.kind, "setting": "float32", "psnr": psnr_of(self.workdir, truth)}
        yield {**whole, "params": num_params(self.workdir)}
        for bits in _BITS.value:
            path = self.file(bits)
            _run("encode", f"--workdir={self.workdir}", "--codec=quant", f"--bits={bits}",
                 f"--out={path}")  # fmt: skip
            with NeuralVideo.open(path) as video:
                found = per_pixel(video)
            assert found is not None, "it was written whole"
            yield {
                "kind": self.kind,
                "setting": f"{bits} bits",
                "bits_per_pixel": found.honest,
                "bits_per_pixel_paper": found.by_formula,
                "psnr": psnr_of(path, truth),
            }

    def file(self, bits: str) -> pathlib.Path:
        """Its file at so many bits a param."""
        return self.workdir.with_name(f"{self.workdir.name}_{bits}bits.inv")


def _run(command: str, *arguments: str) -> None:
    if inv_jax(["inv-jax", command, *arguments]):
        raise InvError(f"inv-jax {command} failed")


def num_params(path: pathlib.Path) -> int:
    """Of one segment."""
    model = open_playback(path).model
    return count.num_params(model, model.roles.all)


def psnr_of(path: pathlib.Path, truth: Pictures) -> float:
    """Of all frames of a run or a file, the mean."""
    playback = open_playback(path)
    views = (
        playback.player.view(frame, playback.rig.cameras, 0).rgb for frame in playback.player.frames
    )
    return mean_psnr((np.asarray(view) for view in views), truth)


def draw(rows: list[dict], sizes: list[Size], path: pathlib.Path) -> None:
    """PSNR against bits per pixel, a line for each kind."""
    figure, (axes,) = style.new_figure(height=4.0)
    for number, kind in enumerate([*(size.kind for size in sizes), *_OTHERS]):
        found = points([row for row in rows if "bits_per_pixel" in row], kind)
        axes.plot(*zip(*found, strict=True), label=kind, **style.line(number, count=len(found)))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    style.title(axes, "Rate and distortion, whole files", x="bits per pixel", y="PSNR, dB")
    style.label_lines(axes)
    style.write_png(figure, path)


def sheet(rows: list[dict], sizes: list[Size], truth: Pictures, path: pathlib.Path) -> None:
    """A frame of the clip, and of it at a low, a middle and a high rate."""
    coded = [row for row in rows if "bits_per_pixel" in row and row["kind"] not in _OTHERS]
    coded.sort(key=lambda row: row["bits_per_pixel"])
    place = len(truth) // 2
    panels: list[sheets.Panel | None] = [sheets.Panel(truth[place], "the clip")]
    for row in (coded[0], coded[len(coded) // 2], coded[-1]):
        (size,) = (size for size in sizes if size.kind == row["kind"])
        playback = open_playback(size.file(row["setting"].split()[0]))
        view = playback.player.view(playback.player.frames[place], playback.rig.cameras, 0)
        caption = f"{row['kind']}, {row['setting']}"
        note = f"{row['bits_per_pixel']:.3f} bits a pixel"
        panels.append(sheets.Panel(pictures.to_uint8(view.rgb), caption, note))
    times = pictures.enlargement(*truth[0].shape[:2])
    pictures.write_png(path, sheets.draw([panels[:2], panels[2:]], "", times=times))


def main(_: list[str]) -> None:
    if not _CLIP.value:
        raise InvError("--clip is missing; give a video file, a folder of pictures, or a pattern")
    out = pathlib.Path(_WORKDIR.value).absolute()
    ways = (False, True) if _PRUNE_EPOCHS.value else (False,)
    sizes = [Size(int(channels), is_pruned) for channels in _CHANNELS.value for is_pruned in ways]
    for size in sizes:
        size.train()
    playback = open_playback(sizes[0].workdir)
    truth = [np.asarray(playback.capture.load(f).images)[0] for f in playback.player.frames]
    rows = [row for size in sizes for row in size.rows(truth)]
    rows += usual_codecs.jpeg(truth, list(map(int, _QUALITIES.value)))
    for kind in (H264, H265):
        rows += usual_codecs.video(kind, truth, list(map(int, _CRFS.value)))
    usual_codecs.add_equal_bits(rows, _OTHERS)
    table = report.format_table(rows, _COLUMNS, has_summary=False)
    print(table)
    (out / "table.txt").write_text(table + "\n")
    report.write_json(out / "results.json", rows)
    draw(rows, sizes, out / "curve.png")
    sheet(rows, sizes, truth, out / "pictures.png")


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_clip_codecs: {error}", file=sys.stderr)
        sys.exit(2)
