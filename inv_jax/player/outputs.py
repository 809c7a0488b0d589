"""What can be shown of a view, each as a picture: colors, depth, opacity, also of its layers.

    rgb, depth, acc         the picture; where several fields are blended, their blend
    NAME                    what the layer of that name shows alone: `static`, `dynamic`
    NAME_depth, NAME_acc    its depth and opacity; `dynamic_acc` is where something moves

Only a view of several fields has layers.
"""

from collections.abc import Sequence

import numpy as np

from inv_jax.data.rig import Rig
from inv_jax.eval import pictures
from inv_jax.eval.pictures import Picture
from inv_jax.render.view import View
from inv_jax.types import InvError

NAMES = ("rgb", "depth", "acc")  # of a view, and of each of its layers
LAYERS = ("static", "dynamic", "dynamic_acc")  # what is worth showing of layers
DEFAULT = ("rgb", "depth", *LAYERS)  # of these, those that a view has


class Painter:
    """Paints views; the same number has the same color in all pictures of a capture.

    Depth is painted by its inverse, linearly: pale yellow at the near end of its range and before
    it, black at the far end and behind it, where what light passes through lies, too. Opacity is
    black at 0 and pale yellow at 1.

    Attributes:
      depth_range: Depths of the brightest and the darkest color, in scene units.
    """

    def __init__(self, rig: Rig, depth_range: tuple[float, float] | None = None):
        """Makes one.

        Args:
          rig: Its bounds are the range of depths, unless another one is given.
          depth_range: Near and far.
        """
        bounds = np.asarray(rig.bounds, np.float64)
        # A camera whose calibration has a stray point near or far does not decide for all.
        near, far = np.median(bounds, axis=0)
        self.depth_range = depth_range or (float(near), float(far))
        self._cameras = rig.cameras

    def paint(self, view: View, names: Sequence[str]) -> list[Picture]:
        """The pictures of these names."""
        parts = _parts(view)
        return [getattr(self, f"_{parts[name][1]}")(parts[name][0]) for name in names]

    def _rgb(self, view: View) -> Picture:
        return pictures.to_uint8(view.rgb)

    def _acc(self, view: View) -> Picture:
        return pictures.colorize(view.acc)

    def _depth(self, view: View) -> Picture:
        depth = np.nan_to_num(view.depth + (1.0 - view.acc) * float(self._cameras.far))
        # Depth 1 is the near plane of NDC, which are linear in inverse depth: 1 - 1 / depth.
        inverse = 1.0 - depth if self._cameras.ndc else 1.0 / np.maximum(depth, 1e-6)
        high, low = (1.0 / limit for limit in self.depth_range)
        return pictures.colorize((inverse - low) / (high - low))


def _parts(view: View) -> dict[str, tuple[View, str]]:
    """By name: in which view it is, and which of `NAMES` there."""
    found = {name: (view, name) for name in NAMES if getattr(view, name, None) is not None}
    for layer, alone in (view.layers or {}).items():
        for name, part in _parts(alone).items():
            found[layer if name == "rgb" else f"{layer}_{name}"] = part
    return found


def offered(view: View) -> tuple[str, ...]:
    """Names of what a view has."""
    return tuple(_parts(view))


def label(name: str) -> str:
    """What an output is called among layers, for people."""
    if name == "rgb":
        return "blend"
    layer, _, what = name.rpartition("_")
    words = {"acc": "opacity", "depth": "depth"}
    return words.get(name) or (f"{layer}, {words[what]}" if layer else name)


def of_layers(view: View) -> tuple[str, ...]:
    """Those of `LAYERS` that a view has."""
    return tuple(name for name in LAYERS if name in _parts(view))


def check(wanted: Sequence[str], has: Sequence[str], flag: str = "--outputs") -> None:
    """Refuses outputs that are not there.

    Raises:
      InvError: Naming those that are.
    """
    for name in wanted:
        if name not in has:
            raise InvError(f"{flag}={','.join(wanted)}: there is no {name!r}, but {', '.join(has)}")


def choose(wanted: Sequence[str], view: View) -> tuple[str, ...]:
    """The outputs wanted, each once, or by default those of `DEFAULT` that the view has.

    Raises:
      InvError: If the view has not all that is wanted.
    """
    has = offered(view)
    check(wanted, has)
    return tuple(dict.fromkeys(wanted)) or tuple(name for name in DEFAULT if name in has)
