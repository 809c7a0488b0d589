"""What a clip takes as JPEG, H.264 and H.265: rows of rate and distortion.

Bits are those of the whole file, over all pixels of all frames; PSNR is of RGB, the mean over
frames. Videos have one key frame and x264's and x265's preset slow.
"""

import io
from collections.abc import Iterable, Iterator, Sequence

import av
import numpy as np
from PIL import Image

from inv_jax.eval import measures

JPEG, H264, H265 = "JPEG", "H.264", "H.265"

Pictures = list[np.ndarray]  # (H, W, 3) uint8

_VIDEOS = {H264: ("libx264", "h264"), H265: ("libx265", "hevc")}  # encoder, bare stream


def bits_per_pixel(num_bytes: int, truth: Pictures) -> float:
    """Bits of a file over all pixels."""
    return 8.0 * num_bytes / sum(picture.shape[0] * picture.shape[1] for picture in truth)


def mean_psnr(decoded: Iterable[np.ndarray], truth: Pictures) -> float:
    """Of pictures, floats in [0, 1]; the mean over them, dB."""
    measure = measures.make(("psnr",))
    return float(np.mean([measure(a, b)["psnr"] for a, b in zip(decoded, truth, strict=True)]))


def jpeg(truth: Pictures, qualities: Sequence[int]) -> Iterator[dict]:
    """A row for each quality: every frame on its own (Pillow, optimised tables)."""
    for quality in qualities:
        files = [io.BytesIO() for _ in truth]
        for file, picture in zip(files, truth, strict=True):
            Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
        decoded = [np.asarray(Image.open(file).convert("RGB")) / 255.0 for file in files]
        yield _row(JPEG, quality, sum(len(file.getvalue()) for file in files), decoded, truth)


def video(kind: str, truth: Pictures, crfs: Sequence[int]) -> Iterator[dict]:
    """A row for each constant rate factor: the sequence as a video, `H264` or `H265`."""
    encoder, stream_format = _VIDEOS[kind]
    height, width = truth[0].shape[:2]
    margins = ((0, height % 2), (0, width % 2), (0, 0))  # 4:2:0 takes even sizes alone
    padded = [np.pad(picture, margins, mode="edge") for picture in truth]
    for crf in crfs:
        file = io.BytesIO()
        with av.open(file, "w", format=stream_format) as container:
            options = {"crf": str(crf), "preset": "slow", "g": str(len(truth))}
            if kind == H265:
                options["x265-params"] = "log-level=error"
            stream = container.add_stream(encoder, rate=30, options=options)
            stream.height, stream.width = padded[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for picture in padded:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
        size = len(file.getvalue())
        file.seek(0)
        with av.open(file, format=stream_format) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        decoded = [frame[:height, :width] / 255.0 for frame in frames]
        yield _row(kind, crf, size, decoded, truth)


def points(rows: Sequence[dict], kind: str, bits: str = "bits_per_pixel") -> list[tuple]:
    """Bits per pixel and PSNR of a kind, by bits."""
    return sorted((row[bits], row["psnr"]) for row in rows if row["kind"] == kind)


def add_equal_bits(rows: Sequence[dict], kinds: Sequence[str]) -> None:
    """Adds the PSNR of usual codecs at the bits of each other row, where they have it."""
    for kind in kinds:
        bits, psnr = np.array(points(rows, kind)).T
        for row in rows:
            if row["kind"] not in kinds and "bits_per_pixel" in row:
                found = np.interp(
                    np.log(row["bits_per_pixel"]), np.log(bits), psnr, left=np.nan, right=np.nan
                )
                row[f"{kind} at these bits"] = None if np.isnan(found) else round(float(found), 3)


def _row(kind: str, setting: int, size: int, decoded: Pictures, truth: Pictures) -> dict:
    return {
        "kind": kind,
        "setting": str(setting),
        "bits_per_pixel": bits_per_pixel(size, truth),
        "psnr": mean_psnr(decoded, truth),
    }
