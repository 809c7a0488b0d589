"""What a row of a batch is: how a step draws some, and how a view is put together from them.

A model says which rows it takes (`Model.rows`); the step, the renderer and the codec's gauge ask
them, and only these files know that there are pixels. A sampler never holds the rows of an epoch:
which row has which place is computed (`permutation.py`), so that what a step sees depends on seed,
segment, step and place alone.
"""

import abc
from typing import Any

from jaxtyping import Array, Int, PRNGKeyArray

from inv_jax.sampling.hardness import Hardness
from inv_jax.types import Batch, Cameras, Places, Views

ALL, STATIC, DYNAMIC = "all", "static", "dynamic"  # regions: which pixels rays go through


class Rows(abc.ABC):
    """A kind of row; one object serves all models that take it.

    Attributes:
      name: For people: `ray`, `picture`.
      shows_pictures: Whether what a row shows has neighbouring pixels, (rows, H, W, 3).
    """

    name: str
    shows_pictures = False

    @abc.abstractmethod
    def in_view(self, height: int, width: int) -> int:
        """How many rows a view has."""

    @abc.abstractmethod
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
        """The rows `ids` of a step's batch, without replacement within an epoch.

        An epoch is `rows // rows_per_step` steps over a fresh shuffle; the remainder, fewer than
        one batch, rests for that epoch.

        Args:
          inputs: What a row is to the model: `Model.inputs`.
          key: The segment's key; the epoch is folded into it.
          step: Step within the segment, from 0.
          ids: Which rows of the batch, in [0, rows_per_step).
          rows_per_step: Size of the batch over all devices.
          views: Images of the training views.
          cameras: Those that the views index.
          region: `ALL`, or the pixels that rows are drawn from, where a row is one.
          hardness: Of the pixels, so that some of the rows are hard ones; None: all count alike.

        Raises:
          ValueError: If a batch asks for more rows than there are, or for a region of rows that
            have none, or for hard ones of rows that are no pixels.
        """

    @abc.abstractmethod
    def places(self, cameras: Cameras, cam: Array, time: Array, indices: Int[Array, "n"]) -> Places:
        """Some rows of one view.

        Args:
          cameras: Any.
          cam: () int32, which of them.
          time: () as in `Places`.
          indices: Which rows, in [0, in_view).
        """

    @abc.abstractmethod
    def image(self, rows: Any, height: int, width: int) -> Any:
        """The view from what its rows show, of which there may be more than needed.

        Args:
          rows: An array of what all rows show, in order; (n, ...) as predicted.
          height: Of the view.
          width: Of the view.

        Returns:
          (H, W, ...).
        """
