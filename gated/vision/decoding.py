"""Picture files from strangers: recognised by content, measured before they are decoded.

Imports little and opens nothing, so that it can run in a process without any rights.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
import PIL.Image

from gated.core.values import Image
from gated.errors import EnrollmentRefused, NoPicture, PictureTooLarge
from gated.vision.kinds import kind_of
from gated.vision.stripping import Bare, bare

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 40_000_000
MAX_SIDE = 4096
"""Pixels to which photos from strangers are shrunk: memory is short in a gate."""
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of files of these formats."""

DAMAGED = "is damaged, or no JPEG, PNG, BMP or TIFF picture"

# Our own limit refuses a picture before it is decoded; Pillow's would only warn
PIL.Image.MAX_IMAGE_PIXELS = None


def decode(
    data: bytes,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    max_side: int | None = None,
) -> Image:
    """Decode the first frame of a JPEG, PNG, BMP or TIFF file, upright: (h, w, 3) BGR uint8.

    Recognised by content alone; shrunk when a side is longer than `max_side`. Metadata are
    thrown away unread, except the orientation.

    Raises: EnrollmentRefused(`unreadable_image`) when a picture cannot be decoded or is cut off,
    NoPicture for other files, PictureTooLarge (undecoded) above `max_bytes` or `max_pixels`.
    """
    check_file(data, max_bytes)
    stripped = bare(data)
    try:
        if stripped.cut != "no":
            _require_whole(stripped, max_pixels)
        with _opened(stripped.data, max_pixels) as file:
            if max_side is not None:
                file.draft(None, (max_side, max_side))  # a JPEG need not be decoded in full
            return _bgr(file, stripped.orientation, max_side)
    except EnrollmentRefused:
        raise
    except MemoryError:
        raise too_large("needs too much memory to decode") from None
    except Exception as error:
        # decoders raise errors of any type on hostile input
        raise unreadable(DAMAGED) from error


def _opened(data: bytes, max_pixels: int) -> PIL.Image.Image:
    file = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = file.size
    if width * height > max_pixels:
        raise too_large(f"has more than {max_pixels / 1e6:.0f} megapixels")
    return file


_OTHER_DATA = b"\xa5\x3c\x96\x69" * 64
"""Compressed data that belong to no picture."""
_RESTARTS = [bytes((0xD0 + n,)) for n in range(8)]


def _require_whole(stripped: Bare, max_pixels: int) -> None:
    """Refuse a JPEG whose picture was cut off; one that lacks only its end marker is complete.

    Where compressed data are missing, the decoder reads the bytes after them instead, some only
    after a restart marker: different continuations then give different pictures.
    EnrollmentRefused.
    """
    if stripped.cut == "perhaps":
        begun = stripped.data[:-2]
        scan = begun[begun.rfind(b"\xff\xda") :]
        restart = max((scan.rfind(b"\xff" + n), i) for i, n in enumerate(_RESTARTS))[1] + 1
        pictures = set()
        for more in (b"", _OTHER_DATA, b"\xff" + _RESTARTS[restart % 8] + _OTHER_DATA):
            with _opened(begun + more + b"\xff\xd9", max_pixels) as file:
                pictures.add(hashlib.sha256(file.tobytes()).digest())
        if len(pictures) == 1:
            return
    raise unreadable("is cut off: only a part of the picture is there; send it again")


def check_file(data: bytes, max_bytes: int = MAX_BYTES) -> None:
    """Check what can be checked without decoding. Raises: NoPicture, PictureTooLarge."""
    if len(data) > max_bytes:
        raise too_large(f"is larger than {max_bytes / 2**20:.0f} MB", bytes=len(data))
    if not data:
        raise NoPicture(*_refusal("is empty"))
    if not data.startswith(BEGINNINGS):
        if (kind := kind_of(data)) is None:
            raise NoPicture(*_refusal("is no JPEG, PNG, BMP or TIFF picture"))
        what = f"is {kind}, and no JPEG, PNG, BMP or TIFF picture. {kind.advice}"
        raise NoPicture("unreadable_image", f"The file {what}")


def unreadable(what: str) -> EnrollmentRefused:
    """Return the refusal of a file; `what` continues a sentence that begins with `The file`."""
    return EnrollmentRefused(*_refusal(what))


def too_large(what: str, **measured: float) -> PictureTooLarge:
    """Return the refusal of a file that would take too much to decode."""
    return PictureTooLarge(*_refusal(what), measured)


def _refusal(what: str) -> tuple[str, str]:
    return "unreadable_image", f"The file {what}."


_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""Orientation in EXIF -> what makes the picture upright."""


def _bgr(picture: PIL.Image.Image, orientation: int, max_side: int | None) -> Image:
    """Any of Pillow's modes, upright, as BGR uint8; transparency lies on white."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = _eight_bit(picture)
    if _is_blank(picture):
        picture = picture.convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = PIL.Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        picture = white
    picture = picture.convert("RGB")
    if max_side is not None:
        picture.thumbnail((max_side, max_side))
    if (turn := _TURNS.get(orientation)) is not None:
        picture = picture.transpose(turn)
    return np.ascontiguousarray(np.asarray(picture, np.uint8)[:, :, ::-1])


def _is_blank(picture: PIL.Image.Image) -> bool:
    """Return whether a BMP's alpha is 0 everywhere: programs that know of no alpha write that."""
    if picture.format != "BMP" or picture.mode != "RGBA":
        return False
    return picture.getchannel("A").getextrema() == (0, 0)


def _eight_bit(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Integers and floats of any depth, scaled so that their type's usual white is 255.

    Cameras of 10, 12 and 14 bits write these into 16 as they are.
    """
    values = np.nan_to_num(np.asarray(picture, np.float32))
    top = float(values.max(initial=0.0))
    if picture.mode.startswith("I;16") or top > 255:
        white = next((w for w in (255.0, 1023.0, 4095.0) if top <= w), 65535.0)
    else:
        white = 255.0 if top > 1 else 1.0
    values = values * (255 / white)
    return PIL.Image.fromarray(values.clip(0, 255, out=values).astype(np.uint8))
