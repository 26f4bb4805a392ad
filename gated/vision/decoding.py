"""Picture files from strangers: recognised by content, measured before they are decoded.

Imports little and opens nothing, so that it can run where there is nothing to steal.
"""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageOps

from gated.core.model import Image
from gated.errors import EnrollmentRefused, NoPicture, PictureTooLarge

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 40_000_000
MAX_SIDE = 4096
"""Pixels to which photos from strangers are made smaller: memory is short in a gate."""
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How files of these formats begin."""

# Our own limit refuses a picture before it is decoded; Pillow's would only warn
PIL.Image.MAX_IMAGE_PIXELS = None


def decode(
    data: bytes,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    max_side: int | None = None,
) -> Image:
    """The picture in a JPEG, PNG, BMP or TIFF file, upright; its first frame, (h, w, 3) BGR uint8.

    Recognised by content alone; made smaller when a side is longer than `max_side`.
    EnrollmentRefused(`unreadable_image`) for what cannot be decoded: NoPicture for anything else;
    PictureTooLarge above `max_bytes` or `max_pixels`, not decoded.
    """
    check_file(data, max_bytes)
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as file:
            width, height = file.size
            if width * height > max_pixels:
                raise too_large(f"has more than {max_pixels / 1e6:.0f} megapixels")
            if max_side is not None:
                file.draft(None, (max_side, max_side))  # a JPEG need not be decoded in full
            return _bgr(PIL.ImageOps.exif_transpose(file), max_side)
    except EnrollmentRefused:
        raise
    except MemoryError:
        raise too_large("needs too much memory to decode") from None
    except Exception as error:
        # decoders raise whatever they like on hostile input
        raise unreadable("is damaged, or no JPEG, PNG, BMP or TIFF picture") from error


def check_file(data: bytes, max_bytes: int = MAX_BYTES) -> None:
    """What can be said without decoding; NoPicture, PictureTooLarge."""
    if len(data) > max_bytes:
        raise too_large(f"is larger than {max_bytes / 2**20:.0f} MB", bytes=len(data))
    if not data.startswith(BEGINNINGS):
        raise NoPicture(*_refusal("is no JPEG, PNG, BMP or TIFF picture"))


def unreadable(what: str) -> EnrollmentRefused:
    """The refusal of a file that is or does something, told after `The file`."""
    return EnrollmentRefused(*_refusal(what))


def too_large(what: str, **measured: float) -> PictureTooLarge:
    """The refusal of a file that would take too much to decode."""
    return PictureTooLarge(*_refusal(what), measured)


def _refusal(what: str) -> tuple[str, str]:
    return "unreadable_image", f"The file {what}."


def _bgr(picture: PIL.Image.Image, max_side: int | None) -> Image:
    """Any of Pillow's modes as BGR uint8; transparency lies on white."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = _eight_bit(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = PIL.Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        picture = white
    picture = picture.convert("RGB")
    if max_side is not None:
        picture.thumbnail((max_side, max_side))
    return np.ascontiguousarray(np.asarray(picture, np.uint8)[:, :, ::-1])


def _eight_bit(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Integers and floats of any depth, scaled so that their type's usual white is 255."""
    if picture.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    values = np.nan_to_num(np.asarray(picture, np.float32))
    top = values.max(initial=0.0)
    white = 65535.0 if top > 255 else 255.0 if top > 1 else 1.0
    values *= 255 / white
    return PIL.Image.fromarray(values.clip(0, 255, out=values).astype(np.uint8))
