"""What the loop, the renderer and the player ask of a representation."""

import abc
from typing import Any

from jaxtyping import Array, Int, Key, PRNGKeyArray

from inv_jax.models.work import Work
from inv_jax.types import Cameras, Params, Predictions


class Model(abc.ABC):
    """A representation of one frame: parameters with roles, and how they make a picture.

    A model is immutable and holds no arrays; it may be closed over by traced functions. Its
    params are a nested dict `{network: {role: {layer: arrays}}}`: the network names what the
    gradient is clipped by, the role what a phase trains (see `inv_jax.params`).

    Everything that a pixel shows is a function of the params and of its `inputs`: rays of a
    radiance field, coordinates of an image. Whoever wants a picture makes the inputs of its pixels
    and hands them to `predict`. A pixel with its inputs is called a ray, whatever they are.
    """

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """Of the matrix products, one of `linear.PRECISIONS`."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> Params:
        """Fresh parameters; equal keys give equal parameters."""

    @abc.abstractmethod
    def inputs(
        self,
        cameras: Cameras,
        cams: Int[Array, "*b"],
        cols: Int[Array, "*b"],
        rows: Int[Array, "*b"],
    ) -> Any:
        """What `predict` takes, for some pixels.

        Args:
          cameras: The cameras that `cams` indexes.
          cams: Camera of each pixel.
          cols: Pixel column, to the right.
          rows: Pixel row, downwards.

        Returns:
          A tree of arrays with leading dimensions (*b,).
        """

    @abc.abstractmethod
    def predict(
        self, params: Params, inputs: Any, *, keys: Key[Array, "*b"] | None = None
    ) -> Predictions:
        """Renders pixels.

        Args:
          params: As from `init`.
          inputs: As from `inputs`; leading dimensions (*b,).
          keys: One random key per pixel (*b,) in training: jitter and noise depend on them and on
            nothing else. None is evaluation: no jitter, no noise.

        Returns:
          A `Rendering` for each network, in the order they ran; the last one is the picture.
        """

    @abc.abstractmethod
    def work(self, roles: tuple[str, ...]) -> Work:
        """What a training step computes for a ray.

        Args:
          roles: What trains; none for rendering.
        """

    def part(self, name: str) -> "Model":
        """A part of the model that can be rendered alone, with the params of all of it.

        Raises:
          ValueError: If it has no such part.
        """
        raise ValueError(f"{type(self).__name__} has no part {name!r}")

    def check_cameras(self, num_cams: int) -> None:
        """Refuses to train on so many cameras.

        Raises:
          InvError: If the model cannot show them.
        """
        del num_cams
