"""The codecs by name."""

from collections.abc import Callable

from inv_jax.codec import masked
from inv_jax.codec.base import Codec, CorruptError, Decoder, Layout
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec

CODECS: dict[str, Callable[..., Codec]] = {
    codec.name: codec for codec in (BricksCodec, DeltaCodec, FpzipCodec, QuantCodec, RawCodec)
}


def decoder(name: str, layout: Layout) -> Decoder:
    """A decoder for a stream that says it was made by this codec.

    Raises:
      CorruptError: If there is no such codec.
    """
    return masked.decoder(_known(name)(), layout)


def params_per_byte(name: str) -> int:
    """How many params of a key packet this codec has to a byte, at most.

    Raises:
      CorruptError: If there is no such codec.
    """
    return _known(name)().params_per_byte


def _known(name: str) -> Callable[..., Codec]:
    if name not in CODECS:
        known = ", ".join(sorted(CODECS))
        raise CorruptError(f"the codec {name[:40]!r} is not known here, only {known}")
    return CODECS[name]
