"""What the loop, the renderer and the player ask of a representation."""

import abc
from collections.abc import Iterable
from typing import Any

import optax
from jaxtyping import Array, Key, PRNGKeyArray

from inv_jax.models.work import Work
from inv_jax.params import Roles
from inv_jax.sampling.rays import RAYS
from inv_jax.sampling.rows import Rows
from inv_jax.types import Cameras, Params, Places, Predictions


class Model(abc.ABC):
    """A representation of one segment: parameters with roles, and how they make a picture.

    A model is immutable and holds no arrays; it may be closed over by traced functions. Its
    params are a nested dict `{network: {role: {layer: arrays}}}`: the network names what the
    gradient is clipped by, the role what a phase trains (see `inv_jax.params`).

    Everything that a row shows is a function of the params and of its `inputs`: rays of a radiance
    field, coordinates of an image, the time of a view. Whoever wants a picture makes the inputs of
    its rows and hands them to `predict`.

    Attributes:
      guide_every: Steps of training after which a new guide is made; 0: there is none.
      rearrange_every: Steps of a segment after which params are rearranged, before the first one,
        too; 0: they stay where they are.
      keeps_shared: Whether what a later segment leaves of the shared params serves those before
        it, too: with it they show the same, to the bit. What is sent is then the last one's.
    """

    guide_every: int = 0
    rearrange_every: int = 0
    keeps_shared: bool = False

    @property
    @abc.abstractmethod
    def roles(self) -> Roles:
        """The roles of its layers: what a segment owns, and what segments share."""

    @property
    def rows(self) -> Rows:
        """What a row of a batch is: a ray through a pixel, unless the model says otherwise."""
        return RAYS

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """Of the matrix products, one of `linear.PRECISIONS`."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> Params:
        """Fresh parameters; equal keys give equal parameters."""

    @abc.abstractmethod
    def inputs(self, cameras: Cameras, places: Places) -> Any:
        """What `predict` takes, for some rows.

        Args:
          cameras: The cameras that `places.cams` indexes.
          places: Which part of which view each row shows.

        Returns:
          A tree of arrays with leading dimensions (*b,).
        """

    @abc.abstractmethod
    def predict(
        self, params: Params, inputs: Any, *, keys: Key[Array, "*b"] | None = None
    ) -> Predictions:
        """Renders rows; one that has a guide takes it as `guide`, or makes it where it is None.

        Args:
          params: As from `init`.
          inputs: As from `inputs`; leading dimensions (*b,).
          keys: One random key per row (*b,) in training: jitter and noise depend on them and on
            nothing else. None is evaluation: no jitter, no noise.

        Returns:
          A `Rendering` for each network, in the order they ran; the last one is the picture.
        """

    def guide(self, params: Params) -> Any:
        """Arrays made of the params that say where to look, so that not every row has to find out.

        No gradient goes through them. None: the model has none.
        """
        del params
        return None

    def guided(
        self,
        params: Params,
        inputs: Any,
        guide: Any,
        *,
        keys: Key[Array, "*b"] | None = None,
    ) -> Predictions:
        """`predict` with a guide of these params, or in training of some steps ago; None: none."""
        given = {} if guide is None else {"guide": guide}
        return self.predict(params, inputs, keys=keys, **given)

    def rearranged(self, params: Params, inputs: Any, target: Array) -> Params:
        """The params, moved to where they are wanted: what `Roles.indices` say, and what moved.

        Args:
          params: As from `init`.
          inputs: Of a batch of training, as from `inputs`.
          target: What its rows should show.

        Returns:
          Params that show the same. Where a number is another one than before, it is a new param:
          what the optimizer knew of the one before is forgotten.
        """
        del inputs, target
        return params

    def derived(self, params: Params) -> Params:
        """The params with what follows from others of them, in front of every step of training.

        Args:
          params: As from `init`.

        Returns:
          The same tree; what is derived is none of the params that train: no gradient goes
          through this. In evaluation it stands as the last step has left it.
        """
        return params

    def next_segment(self, params: Params, key: PRNGKeyArray) -> Params:
        """What a segment's training starts from, after that of the one before.

        Args:
          params: What the segment before has ended with, all roles.
          key: Of this segment, for what begins anew.

        Returns:
          The same tree; a pure function that may be traced. What is shared stays as it is.
        """
        del key
        return params

    def needed(self, segments: Iterable[Params]) -> Params:
        """What segments need of the shared params that the last one has left; of `keeps_shared`.

        Args:
          segments: Params of each, in the order of training.

        Returns:
          The shared roles; numbers that none of them needs are 0.

        Raises:
          InvError: If what is kept was moved by hand.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps nothing")

    def describe(self) -> dict[str, str]:
        """What a forecast says of its sizes, besides the number of its params: by name, a line."""
        return {}

    def around(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """The optimizer with what the model adds: penalties of params, learning rates of some."""
        return optimizer

    @abc.abstractmethod
    def work(self, roles: tuple[str, ...]) -> Work:
        """What a training step computes for a row.

        Args:
          roles: What trains; none for rendering.
        """

    def part(self, name: str) -> "Model":
        """A part of the model that can be rendered alone, with the params of all of it.

        Raises:
          ValueError: If it has no such part.
        """
        raise ValueError(f"{type(self).__name__} has no part {name!r}")

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """Refuses to train on segments that it cannot show.

        Args:
          cameras: Those that are trained on.
          num_frames: Frames of a segment; asked for the longest and for the shortest.

        Raises:
          InvError: With the setting to change.
        """
        del cameras, num_frames
