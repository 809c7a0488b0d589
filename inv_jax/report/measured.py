"""How good the pictures of a run are: from its journal, from pictures it left, or rendered.

PSNR and SSIM of the shown camera are the journal's. All else is measured: of the view that the run
wrote when the frame was done (8 bits), where there is exactly one, and else of the frame rendered
again. What was measured and rendered is kept, under names made from the content, so that a second
report is quick and a run that changed is measured anew.
"""

import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import Image

from inv_jax import params as params_lib
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.data import files
from inv_jax.eval import pictures
from inv_jax.eval.measures import MASKED, Mask, Measures
from inv_jax.player import outputs
from inv_jax.report.runs import Run
from inv_jax.types import InvError

Picture = UInt8[np.ndarray, "h w 3"]
Scores = dict[str, float | None]

_VERSION = "2"  # of what a number means; another one forgets all that was kept
_SAVE_SECONDS = 20.0


class Cache:
    """Numbers and rendered pictures by the content they come from, in a folder."""

    def __init__(self, folder: pathlib.Path):
        """Reads what is there; the folder is made when something is kept."""
        self._folder, self._path = folder, folder / "measures.json"
        self._saved_at, self._is_new = time.monotonic(), False
        self._scores: dict[str, Scores] = {}
        try:
            found = json.loads(self._path.read_text())
            if found["version"] == _VERSION:
                self._scores = found["scores"]
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            logging.warning("%s is not what was written there (%s): measured anew", folder, error)

    def scores(self, key: str) -> Scores:
        """What is known of a picture against its truth; empty if nothing is."""
        return dict(self._scores.get(key, {}))

    def keep(self, key: str, scores: Scores) -> None:
        """Adds numbers; they are written now and then, and by `save`."""
        self._scores[key] = {**self._scores.get(key, {}), **files.json_row(scores)}
        self._is_new = True
        if time.monotonic() - self._saved_at > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes the numbers, if there are new ones."""
        if self._is_new:
            self._folder.mkdir(parents=True, exist_ok=True)
            with files.replacing(self._path) as temporary:
                temporary.write_text(json.dumps({"version": _VERSION, "scores": self._scores}))
        self._saved_at, self._is_new = time.monotonic(), False

    def picture(self, key: str, layer: str = "") -> Picture | None:
        """A picture that was rendered before, or what a layer of it shows."""
        return _read_png(self._picture_path(key, layer))

    def keep_picture(self, key: str, picture: Picture, layer: str = "") -> None:
        pictures.write_png(self._picture_path(key, layer), picture)

    def _picture_path(self, key: str, layer: str) -> pathlib.Path:
        return self._folder / "views" / layer / f"{key}.png"


class Viewer:
    """The pictures of a run beside the truth, and how good they are.

    Attributes:
      run: The run.
      capture: The true images.
      capture_folder: Where they lie.
      masks: Those of what moves in them; they need not be there.
    """

    def __init__(
        self,
        run: Run,
        cache: Cache,
        measures: Measures,
        data_path: str = "",
        with_masks: Callable[[Playback], Playback] = lambda playback: playback,
    ):
        """Opens the run for looking at.

        Args:
          run: What it says of itself.
          cache: What is known already.
          measures: What is asked for.
          data_path: The capture's folder, if it has moved.
          with_masks: Gives the playback its masks, if they are others than the run's.

        Raises:
          InvError: If its params or its capture's images are not there.
        """
        self.run, self._cache, self._measures = run, cache, measures
        self._playback: Playback = with_masks(open_playback(run.path, data_path))
        self.capture = self._playback.capture
        self.capture_folder = self._playback.capture_folder
        self.masks = self._playback.masks
        self._scene = json.dumps(
            [run.config.get("model"), self._playback.rig.fingerprint], sort_keys=True, default=str
        )
        self._painter = outputs.Painter(self._playback.rig)
        self._kept: tuple[int, str] = (-1, "")

    @property
    def shown_cam(self) -> int:
        return self._playback.rig.shown_cam

    @property
    def lpips_net(self) -> str | None:
        """As of `Measures`."""
        return self._measures.lpips_net

    @property
    def train_cams(self) -> tuple[int, ...]:
        return self._playback.rig.train_cams

    @property
    def test_cams(self) -> tuple[int, ...]:
        return self._playback.rig.test_cams

    def camera_name(self, cam: int) -> str:
        return self._playback.rig.camera_names[cam]

    def camera_names(self, cams: Sequence[int]) -> str:
        """`cam00 (held out); cam01, cam02 (trained on)`."""
        held_out = [self.camera_name(cam) for cam in cams if cam in self.test_cams]
        others = [self.camera_name(cam) for cam in cams if cam not in self.test_cams]
        kinds = ((held_out, "held out"), (others, "trained on"))
        return "; ".join(f"{', '.join(names)} ({kind})" for names, kind in kinds if names)

    def truth(self, frame: int, cam: int) -> Picture:
        """The camera's image."""
        return np.asarray(self.capture.load(frame, (cam,)).images)[0]

    def picture(self, frame: int, cam: int) -> Picture:
        """The frame from a camera, 8 bits."""
        left = self._left_picture(frame, cam)
        if left is not None:
            return _read_png(left)
        kept = self._cache.picture(self._key(frame, cam))
        return pictures.to_uint8(self._render(frame, cam)) if kept is None else kept

    def layers(self, frame: int, cam: int) -> dict[str, Picture]:
        """What the layers of a frame show, those of `outputs.LAYERS` that it has."""
        self.picture(frame, cam)  # where it is rendered, so are they
        left, found = self._left_picture(frame, cam), {}
        for layer in outputs.LAYERS:
            if left is None:
                kept = self._cache.picture(self._key(frame, cam), layer)
            else:
                kept = _read_png(left.parent / layer / left.name)
            if kept is not None:
                found[layer] = kept
        return found

    def scores(self, frame: int, cams: Sequence[int]) -> Scores:
        """Numbers by metric, each the mean over the cameras; None where there is none."""
        rows = [self._scores(frame, cam) for cam in cams]
        means: Scores = {}
        for name in self._measures.names:
            found = [row[name] for row in rows if row.get(name) is not None]
            means[name] = float(np.mean(found)) if len(found) == len(rows) else None
        return means

    def _scores(self, frame: int, cam: int) -> Scores:
        found = journal_scores(self.run, frame, cam)
        is_dynamic = self._mask(frame, cam)
        unknown = MASKED if is_dynamic is None else ()
        missing = [name for name in self._measures.names if name not in (*found, *unknown)]
        if not missing:
            return found
        truth = self.truth(frame, cam)
        left = self._left_picture(frame, cam)
        key = self._key(frame, cam) if left is None else _digest(left.read_bytes())
        key = f"{key}-{_digest(truth.tobytes())}"
        kept = self._cache.scores(key)
        keys = {name: self._full_name(name, is_dynamic) for name in missing}
        known = {name: kept[keys[name]] for name in missing if keys[name] in kept}
        missing = [name for name in missing if name not in known]
        if missing:
            rgb = self._render(frame, cam) if left is None else _read_png(left) / np.float32(255)
            chosen = {name: self._measures.metrics[name] for name in missing}
            known |= Measures(chosen)(rgb, truth, is_dynamic)
            self._cache.keep(key, {keys[name]: known[name] for name in missing})
            logging.info("%s, frame %d, camera %d: %s", self.run.name, frame, cam, known)
        return {**known, **found}

    def _full_name(self, name: str, is_dynamic: Mask | None) -> str:
        """What a metric's number is kept under: it tells its weights, or its mask."""
        mask = f"-{_digest(is_dynamic.tobytes())}" if name in MASKED else ""
        return self._measures.full_name(name) + mask

    def _mask(self, frame: int, cam: int) -> Mask | None:
        """Which pixels are dynamic, if that is asked for and known."""
        if not self._measures.wants_masks or self.masks.missing([frame], [cam]):
            return None
        return self.masks.load(frame, [cam])[0]

    def _left_picture(self, frame: int, cam: int) -> pathlib.Path | None:
        """The view that the run wrote, if it has a row for it and there is just one."""
        if self.run.is_video or self.run.rows.get(frame, {}).get("cam") != cam:
            return None
        named = pictures.view_path(self.run.path / "nerf_esti", cam, frame, 0.0)
        prefix = named.name.rpartition("_")[0]
        # Views from within the frame have a part more in their names.
        found = [
            p for p in named.parent.glob(f"{prefix}_*.png") if p.name.rpartition("_")[0] == prefix
        ]
        return found[0] if len(found) == 1 else None

    def _render(self, frame: int, cam: int) -> np.ndarray:
        logging.info("rendering %s, frame %d, camera %d", self.run.name, frame, cam)
        view = self._playback.player.view(frame, self.capture.cameras, cam)
        names = ("rgb", *outputs.of_layers(view))
        painted = self._painter.paint(view, names)
        for name, picture in zip(names, painted, strict=True):
            layer = "" if name == "rgb" else name
            self._cache.keep_picture(self._key(frame, cam), picture, layer)
        return np.asarray(view.rgb)

    def _key(self, frame: int, cam: int) -> str:
        """Names a rendered picture by all it is made of: params, camera, and time within a clip."""
        source, time_in_clip = self._playback.source, self._playback.time(frame)
        number = source.segment(frame)[0]
        if self._kept[0] != number:
            digest = hashlib.sha256(self._scene.encode())
            for path, leaf in sorted(params_lib.flatten(source.params(frame)).items()):
                digest.update(path.encode())
                digest.update(np.ascontiguousarray(leaf).tobytes())
            self._kept = number, digest.hexdigest()[:24]
        when = f"-time{time_in_clip:.9f}" if time_in_clip else ""
        return f"{self._kept[1]}-cam{cam:02d}{when}"


def journal_scores(run: Run, frame: int, cam: int | None = None) -> Scores:
    """What the run itself measured; empty if it did not, or of another camera than asked for."""
    row: dict[str, Any] = run.rows.get(frame, {})
    if cam is not None and row.get("cam") != cam:
        return {}
    return {name: row[name] for name in ("psnr", "ssim") if name in row}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _read_png(path: pathlib.Path) -> Picture | None:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvError(f"{path} cannot be read ({error}); remove it") from error
