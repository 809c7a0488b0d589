"""All kinds of parts, and those of a field: a new kind of level is a class, and a name here."""

from collections.abc import Mapping

from inv_jax.textures.field import TexturedField
from inv_jax.textures.parts import Cells, Dense, Part
from inv_jax.textures.pool import Pool
from inv_jax.textures.steps import Steps
from inv_jax.types import InvError

MOST_TEXELS = 2048  # on a side; WebGL2 promises 256, nearly all devices have this

KINDS: Mapping[str, type[Part]] = {kind.kind: kind for kind in (Dense, Cells, Pool)}


def of(model: TexturedField) -> list[Part]:
    """The parts of a field's frames, whose steps are not known yet.

    Raises:
      InvError: If a level is too large for textures.
    """
    none = Steps.none(1 + model.features)
    parts: list[Part] = [Dense(f"level_{i}", size, none) for i, size in enumerate(model.levels)]
    if model.bricks is not None:
        parts.append(Pool(f"level_{len(parts)}", model.bricks.shape, none, model.bricks.capacity))
    for part in parts:
        most = max(max(texture.size) for texture in part.textures)
        if most > MOST_TEXELS:
            raise InvError(
                f"{part.name} of {'x'.join(map(str, part.size))} nodes wants a 3D texture of "
                f"{most} texels a side; {MOST_TEXELS} are the most: train with a smaller one"
            )
    return [*parts, Cells("cells", model.guide_shape, Steps.none(1))]
