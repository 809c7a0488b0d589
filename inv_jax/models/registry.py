"""All models, by name, made from the settings that each of them takes."""

from collections.abc import Callable, Mapping
from typing import Any

from inv_jax.geometry.boxes import Box
from inv_jax.models.base import Model
from inv_jax.models.bricks import Bricks
from inv_jax.models.encodings import Encoding, GaussianFourier, Octaves, TimeWaves
from inv_jax.models.grid_field import GridField
from inv_jax.models.image_mlp import ImageMlp
from inv_jax.models.joint import Joint
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.models.nerv import Nerv
from inv_jax.models.pfnr import Pfnr
from inv_jax.models.split import SplitNerf
from inv_jax.types import InvError

Settings = Mapping[str, Any]

GRID = "grid"  # the fast field
PFNR = "pfnr"  # clips one after the other
JOINT = "joint"  # clips together
SPLIT = "split"  # the model of two fields, whose plans are its own


def make(settings: Settings) -> Model:
    """The model of some settings (`inv_jax/settings`, `model`); it takes what it uses.

    Raises:
      InvError: If there is no such model, or a setting cannot be right.
    """
    name = settings["name"]
    if name not in MODELS:
        raise InvError(f"model.name={name!r} is unknown; models are {', '.join(sorted(MODELS))}")
    return MODELS[name](settings)


def _nerf(settings: Settings) -> Nerf:
    return Nerf(**_nerf_fields(settings))


def _split(settings: Settings) -> SplitNerf:
    return SplitNerf(**_nerf_fields(settings), blend=settings["blend"])


def _nerf_fields(settings: Settings) -> dict[str, Any]:
    s = settings
    mlp = NerfMlp(
        width=s["width"],
        depth=s["depth"],
        structure_layers=s["structure_layers"],
        structure_heads=tuple(s["structure_heads"]),
        skip_layer=None if s["skip_layer"] < 0 else s["skip_layer"],
        position_octaves=s["position_octaves"],
        direction_octaves=s["direction_octaves"],
        precision=s["precision"],
    )
    return {
        "mlp": mlp,
        "coarse_samples": s["coarse_samples"],
        "fine_samples": s["fine_samples"],
        "density_noise": s["density_noise"],
        "background": s["background"],
    }


def _image(settings: Settings) -> ImageMlp:
    s = settings
    return ImageMlp(
        _encoding(s),
        width=s["width"],
        depth=s["depth"],
        structure_layers=s["structure_layers"],
        structure_heads=tuple(s["structure_heads"]),
        activation=s["activation"],
        w0=s["w0"],
        precision=s["precision"],
    )


def _nerv(settings: Settings) -> Nerv:
    s = settings
    return Nerv(
        TimeWaves.of(s["embed"]),
        stem_width=s["stem_width"],
        stem_layers=s["stem_layers"],
        grid=tuple(s["grid"]),
        channels=s["channels"],
        strides=tuple(s["strides"]),
        expansion=s["expansion"],
        reduction=s["reduction"],
        lower_width=s["lower_width"],
        num_blocks=s["num_blocks"],
        upsampling=s["upsampling"],
        activation=s["activation"],
        norm=s["norm"],
        single_res=s["single_res"],
        sigmoid=s["sigmoid"],
        precision=s["precision"],
    )


def _pfnr(settings: Settings) -> Pfnr:
    s = settings
    return Pfnr(
        _nerv({**s, "stem_layers": 1}),
        capacity=s["capacity"],
        sessions=s["sessions"],
        bias=s["bias"],
        reinit=s["reinit"],
        operator=s["operator"],
        composition=s["composition"],
        operator_channels=s["operator_channels"],
    )


def _joint(settings: Settings) -> Joint:
    return Joint(_nerv({**settings, "stem_layers": 1}), clips=tuple(settings["clips"]))


def _grid(settings: Settings) -> GridField:
    s = settings
    nodes, guide, fine = tuple(s["levels"]), tuple(s["guide"]), tuple(s["bricks"])
    if len(nodes) % 3 or len(guide) != 3:
        raise InvError(
            f"model.levels={nodes}, model.guide={guide}; want nodes in x, y and z of each level, "
            "and three numbers of cells"
        )
    if len(fine) not in (0, 4):
        raise InvError(
            f"model.bricks={fine}; want nodes in x, y and z, and a number of bricks, or 0,0,0,0"
        )
    return GridField(
        Box.of(s["space"], s["box"]),
        tuple(zip(nodes[::3], nodes[1::3], nodes[2::3], strict=True)),
        bricks=Bricks(fine[:3], fine[3]) if any(fine) else None,
        bricks_every=s["bricks_every"],
        features=s["features"],
        samples=s["samples"],
        probes=s["probes"],
        guide_shape=guide,
        guide_every=s["guide_every"],
        even=s["even"],
        width=s["width"],
        depth=s["depth"],
        roughness=s["roughness"],
        edge=s["edge"],
        density_rate=s["density_rate"],
        color_rate=s["color_rate"],
        precision=s["precision"],
    )


def _encoding(settings: Settings) -> Encoding:
    s = settings
    made: dict[str, Callable[[], Encoding]] = {
        "none": lambda: Octaves(0),
        "octaves": lambda: Octaves(s["position_octaves"]),
        "fourier": lambda: GaussianFourier(
            s["fourier_features"], s["fourier_scale"], s["fourier_seed"]
        ),
    }
    if s["encoding"] not in made:
        raise InvError(f"model.encoding={s['encoding']!r}; choose one of {', '.join(sorted(made))}")
    return made[s["encoding"]]()


MODELS: Mapping[str, Callable[[Settings], Model]] = {
    "nerf": _nerf,
    SPLIT: _split,
    "image": _image,
    "nerv": _nerv,
    PFNR: _pfnr,
    JOINT: _joint,
    GRID: _grid,
}
