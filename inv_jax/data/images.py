"""Encoded images to 8-bit RGB arrays: what is harmless is converted, what is broken is an error.

Pillow decodes: it refuses a truncated file and says what is wrong with it. Only 16-bit PNGs
are read by OpenCV, after Pillow found them whole, because Pillow cuts color to 8 bits where it
should be rounded.
"""

import io
import pathlib

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from inv_jax.types import InvError

GREY = "is grey: its values go into all three channels"
PALETTE = "has a palette: its colors are written out"
OPAQUE_ALPHA = "has an alpha channel that is opaque everywhere: it is dropped"
TRANSPARENT = "is transparent in places: the background (model.background) shows there"
SIXTEEN_BITS = "has 16 bits per channel: they are rounded to 8"
TURNED = "is turned as its EXIF data says"
OTHER_MODE = "is not stored as RGB: its colors are converted"

_UPRIGHT, _ON_ITS_SIDE = 1, (5, 6, 7, 8)  # EXIF orientations
_PNG_BIT_DEPTH = 24  # offset of the bit depth: signature (8), IHDR length and name (8), size (8)
_MODES = {
    "RGB": (),
    "RGBA": (),
    "1": (GREY,),
    "L": (GREY,),
    "LA": (GREY,),
    "P": (PALETTE,),
    "CMYK": (OTHER_MODE,),
    "YCbCr": (OTHER_MODE,),
}


def image_size(path: pathlib.Path, *, is_photo: bool = False) -> tuple[int, int]:
    """Height and width, from the file's header alone; `is_photo` as of `decode`.

    Raises:
      InvError: If the file cannot be opened or is no image.
    """
    try:
        with Image.open(path) as image:
            if is_photo and _orientation(image) in _ON_ITS_SIDE:
                return image.width, image.height
            return image.height, image.width
    except Exception as error:  # Pillow raises errors of many kinds on a broken file.
        raise broken(str(path), error) from error


def decode(
    data: bytes, name: str, backdrop: int | None = None, *, is_photo: bool = False
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
    """Decodes one image to its last byte.

    Args:
      data: A PNG or JPEG file, as it is on disk.
      name: Of that file, for messages.
      backdrop: Grey level, 0 to 255, to lay behind what is transparent; None refuses it.
      is_photo: Whether its EXIF orientation counts; images of calibrated cameras are as stored.

    Returns:
      The image as 8-bit RGB, and what had to be converted for it: phrases that go on after the
      name of the file, none for an ordinary image.

    Raises:
      InvError: If the image is truncated or none at all, or if it is transparent anywhere and
        there is no backdrop (one would have to be made up).
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # `open` reads the header only.
            if image.format == "PNG" and data[_PNG_BIT_DEPTH] == 16:
                return _decode_16_bits(name, data, backdrop)
            if is_photo and _orientation(image) != _UPRIGHT:
                rgb, notes = _convert(name, ImageOps.exif_transpose(image), backdrop)
                return rgb, (*notes, TURNED)
            return _convert(name, image, backdrop)
    except InvError:
        raise
    except Exception as error:  # As above.
        raise broken(name, error) from error


def _orientation(image: Image.Image) -> int:
    exif = Image.Exif()
    exif.load(image.info.get("exif"))  # `getexif` would decode all of a PNG to look behind it
    return exif.get(ExifTags.Base.Orientation, _UPRIGHT)


def _convert(
    name: str, image: Image.Image, backdrop: int | None
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
    if image.mode not in _MODES:
        raise InvError(
            f"{name}: pixels are stored as Pillow's mode {image.mode!r}; expected 8-bit RGB: "
            "save the image again as an RGB PNG"
        )
    notes = _MODES[image.mode]
    # A palette, grey or RGB image can also name one color that is transparent.
    if "A" in image.mode or "transparency" in image.info:
        rgb, note = flatten(np.asarray(image.convert("RGBA")), name, backdrop)
        return rgb, (*notes, note)
    return np.asarray(image.convert("RGB")), notes


def _decode_16_bits(
    name: str, data: bytes, backdrop: int | None
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise InvError(f"{name}: OpenCV cannot decode this 16-bit PNG; save it again with 8 bits")
    values = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 257 * 255.
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=-1), (GREY, SIXTEEN_BITS)
    if values.shape[-1] == 4:
        rgb, note = flatten(values[..., [2, 1, 0, 3]], name, backdrop)
        return rgb, (note, SIXTEEN_BITS)
    return values[..., ::-1], (SIXTEEN_BITS,)  # OpenCV's order is blue, green, red.


def flatten(
    rgba: UInt8[np.ndarray, "h w 4"], name: str, backdrop: int | None
) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
    """Lays an image over a grey backdrop; what was done, to be said of it.

    Raises:
      InvError: If it is transparent anywhere and there is no backdrop.
    """
    alpha = rgba[..., 3:]
    if not (transparent := int((alpha < 255).sum())):
        return rgba[..., :3], OPAQUE_ALPHA
    if backdrop is None:
        raise InvError(
            f"{name}: {transparent} of {alpha.size} pixels are transparent; expected an opaque "
            "image: flatten it onto a background first"
        )
    weight = alpha.astype(np.float32) / 255.0
    laid = weight * rgba[..., :3] + (1.0 - weight) * np.float32(backdrop)
    return np.rint(laid).astype(np.uint8), TRANSPARENT


def broken(name: str, error: Exception) -> InvError:
    """The error that says of one image why it cannot be read or decoded."""
    if isinstance(error, UnidentifiedImageError):
        reason = "cannot be decoded (its first bytes are not those of an image)"
    elif isinstance(error, OSError) and error.strerror:
        reason = f"cannot be read ({error.strerror})"
    else:
        reason = f"cannot be decoded ({' '.join(str(error).split()) or type(error).__name__})"
    return InvError(f"{name}: {reason}; expected a whole PNG or JPEG: write it again")
