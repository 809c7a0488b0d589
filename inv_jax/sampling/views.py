"""Rows that are whole views: a decoder makes a picture at once."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from inv_jax.sampling.hardness import Hardness
from inv_jax.sampling.permutation import permute
from inv_jax.sampling.rays import of_views
from inv_jax.sampling.rows import ALL, Rows
from inv_jax.types import Batch, Cameras, Places, Views


class ViewRows(Rows):
    """A whole view."""

    name = "picture"
    shows_pictures = True

    def in_view(self, height: int, width: int) -> int:
        """See `Rows.in_view`."""
        del height, width
        return 1

    def sample(
        self,
        inputs: Any,
        key: PRNGKeyArray,
        step: Int[Array, ""],
        ids: Int[Array, "b"],
        rows_per_step: int,
        views: Views,
        cameras: Cameras,
        region: str = ALL,
        hardness: Hardness | None = None,
    ) -> Batch:
        """See `Rows.sample`; a picture has no regions."""
        num_views = views.shape[0]
        if num_views < rows_per_step:
            raise ValueError(f"{rows_per_step} pictures a step, but there are {num_views} views")
        if region != ALL or hardness is not None:
            which = "hard" if region == ALL else region
            raise ValueError(f"a picture cannot go through {which} pixels alone")
        steps_per_epoch = num_views // rows_per_step
        epoch, batch = step // steps_per_epoch, step % steps_per_epoch
        which = permute(jax.random.fold_in(key, epoch), batch * rows_per_step + ids, num_views)
        return Batch(
            inputs=inputs(cameras, of_views(views, which)),
            target=views.images[which].astype(jnp.float32) / 255.0,
            ids=ids,
        )

    def places(self, cameras: Cameras, cam: Array, time: Array, indices: Int[Array, "n"]) -> Places:
        """See `Rows.places`."""
        del cameras
        return Places(
            cams=jnp.full_like(indices, cam), times=jnp.full(indices.shape, time, jnp.float32)
        )

    def image(self, rows: Any, height: int, width: int) -> Any:
        """See `Rows.image`."""
        del height, width
        return rows[0]


VIEWS = ViewRows()
