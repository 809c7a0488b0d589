"""What the loop, the renderer and the player ask of a representation."""

import abc

from jaxtyping import Array, Key, PRNGKeyArray

from inv_jax.types import Params, Predictions, Rays


class Model(abc.ABC):
    """A representation of one frame: parameters with roles, and how they make a picture.

    A model is immutable and holds no arrays; it may be closed over by traced functions. Its
    params are a nested dict `{network: {role: {layer: arrays}}}`: the network names what the
    gradient is clipped by, the role what a phase trains (see `inv_jax.params`).
    """

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> Params:
        """Fresh parameters; equal keys give equal parameters."""

    @abc.abstractmethod
    def predict(
        self, params: Params, rays: Rays, *, keys: Key[Array, "*b"] | None = None
    ) -> Predictions:
        """Renders rays.

        Args:
          params: As from `init`.
          rays: Leading dimensions (*b,).
          keys: One random key per ray (*b,) in training: jitter and noise depend on them and on
            nothing else. None is evaluation: no jitter, no noise.

        Returns:
          A `Rendering` for each network, in the order they ran; the last one is the picture.
        """
