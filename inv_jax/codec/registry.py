"""The codecs by name."""

from collections.abc import Callable

from inv_jax.codec.base import Codec, CorruptError, Decoder, Layout
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec

CODECS: dict[str, Callable[..., Codec]] = {
    codec.name: codec for codec in (DeltaCodec, FpzipCodec, QuantCodec, RawCodec)
}


def decoder(name: str, layout: Layout) -> Decoder:
    """A decoder for a stream that says it was made by this codec.

    Raises:
      CorruptError: If there is no such codec.
    """
    if name not in CODECS:
        known = ", ".join(sorted(CODECS))
        raise CorruptError(f"the codec {name[:40]!r} is not known here, only {known}")
    return CODECS[name]().decoder(layout)
