"""Strip a picture file of its metadata before a decoder reads it.

Cameras, phones and editors write metadata of wrong types and broken text beside good pictures, and
decoders give up on it. Only the orientation is looked for, in a way that no wrong entry disturbs.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG markers (ITU-T T.81, B.1.1.3) that stand alone: TEM, RST0 to RST7, SOI."""
_NO_FRAME = frozenset((0xC4, 0xC8, 0xCC))
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_EOI, _SOS, _APP1, _ADOBE = 0xD9, 0xDA, 0xE1, 0xEE
_METADATA = frozenset((*range(0xE0, 0xF0), 0xFE))
"""APP0 to APP15 and comments."""
_JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"

_PNG = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT"))

_ORIENTATION = 274
_RATIONALS = (5, 10)
_ASCII = 2
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}
_TIFF_NEEDED = frozenset(
    (
        *range(254, 260),
        *(262, 266, 273, 277, 278, 279, 284, 292, 293, 317),
        *range(320, 326),
        *(332, 334, 338, 339, 340, 341, 347),
        *range(512, 522),
        *(529, 530, 531, 532),
    )
)
"""Tags of TIFF 6.0 (and its supplements) that say how the pixels are stored."""


class Bare(NamedTuple):
    """A picture without metadata. orientation: 1 to 8 as in EXIF.

    cut: whether its end is missing. `perhaps` when all parts have begun, the last one unended.
    """

    data: bytes
    orientation: int = 1
    cut: Literal["no", "perhaps", "yes"] = "no"


def bare(data: bytes) -> Bare:
    """Give the bare picture in a JPEG, PNG or TIFF file; any other file as it is.

    A JPEG file that has no end gets one; whether all of the picture is there is still to be seen.
    Never raises: a file that cannot be parsed is left to the decoder.
    """
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(data)
    except (struct.error, ValueError, LookupError):
        pass
    return Bare(data)


# --- JPEG -----------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> Bare:
    kept, orientation, end = [data[:2]], 0, False
    scans = _Scans()
    for kind, at, until in _segments(data):
        segment = data[at + 2 : until]
        if kind == _EOI:
            end = True
        elif kind == _APP1 and segment.startswith(b"Exif\0"):
            orientation = orientation or _oriented(segment[6:])
        elif kind in _METADATA:
            kept.append(_colours(kind, segment))
        else:
            scans.see(kind, segment)
            kept.append(b"\xff" + bytes((kind,)) + data[at:until])
    # half of the end, perhaps, and then all of it
    joined = b"".join(kept).rstrip(b"\xff") + b"\xff\xd9"
    return Bare(joined, orientation or 1, "no" if end else "perhaps" if scans.all() else "yes")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where its length is, where it ends), a scan with its compressed data, up to EOI."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        kind, at = found.group(1)[0], found.end()
        if kind == _EOI:
            yield kind, at, at
            return
        if kind in _NO_LENGTH:
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if kind == _SOS:
            end = _scan_end(data, end)
        yield kind, at, end
        at = end


class _Scans:
    """The parts of a picture that have come (T.81, B.2.2, B.2.3, G.1.1.1)."""

    def __init__(self) -> None:
        self._missing: dict[int, list[int]] = {}
        """Component -> the lowest bit, of each coefficient, that has come; -1 before any has."""
        self._progressive = False
        self._is_last = False

    def see(self, marker: int, segment: bytes) -> None:
        """Note a segment. Raises: IndexError when it is too short."""
        self._is_last = marker == _SOS
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            self._missing = {segment[6 + 3 * i]: [-1] * 64 for i in range(segment[5])}
            self._progressive = marker in _PROGRESSIVE
        elif marker == _SOS:
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            span = slice(first, last + 1) if self._progressive else slice(0, 64)
            for i in range(count):
                bit = bits & 15 if self._progressive else 0
                coefficients = self._missing[segment[1 + 2 * i]]
                coefficients[span] = [bit] * len(coefficients[span])

    def all(self) -> bool:
        """Return whether each part has come, the last of them perhaps not to its end."""
        return self._is_last and not any(any(bits) for bits in self._missing.values())


def _colours(kind: int, segment: bytes) -> bytes:
    """Return the segments of a JPEG that define its colours, rebuilt; nothing for others."""
    if kind == 0xE0 and segment.startswith(b"JFIF\0"):
        kept = _JFIF
    elif kind == _ADOBE and segment.startswith(b"Adobe") and len(segment) >= 12:
        kept = segment[:12]
    else:
        return b""
    return b"\xff" + bytes((kind,)) + (len(kept) + 2).to_bytes(2, "big") + kept


def _scan_end(data: bytes, at: int) -> int:
    """Find the end of the compressed data from here on: the first marker that is no restart."""
    while (found := _MARKER.search(data, at)) is not None:
        if not 0xD0 <= found.group(1)[0] <= 0xD7:
            return found.start()
        at = found.end()
    return len(data)


# --- PNG ------------------------------------------------------------------------------------------


def _png(data: bytes) -> Bare:
    kept, orientation = [_PNG], 0
    for kind, body, whole in _chunks(data):
        if kind in _NEEDED:
            kept.append(whole)
        elif kind == b"eXIf":
            orientation = orientation or _oriented(body.removeprefix(b"Exif\0\0"))
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    return Bare(b"".join((*kept, end)), orientation or 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(kind, body, all of it) of each chunk that is whole, up to the end of the picture.

    If only the checksum of a chunk is cut off, it is computed again.
    """
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IEND" or len(body) < length:
            return
        whole = data[at : at + 12 + length]
        if len(whole) < 12 + length:
            whole = data[at : at + 8 + length] + struct.pack(">I", zlib.crc32(kind + body))
        yield kind, body, whole
        at += 12 + length


# --- TIFF, and the EXIF block, which is one -------------------------------------------------------


class _Layout(NamedTuple):
    """The layout of a TIFF directory; `big`: as BigTIFF."""

    order: str
    big: bool

    def number(self, data: bytes, at: int, code: str) -> int:
        return int(struct.unpack_from(self.order + code, data, at)[0])

    @property
    def entry(self) -> int:
        return 20 if self.big else 12

    @property
    def counter(self) -> str:
        return "Q" if self.big else "H"

    @property
    def offset(self) -> str:
        return "Q" if self.big else "I"


def _layout(data: bytes) -> _Layout:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no byte order")
    return _Layout(order, _Layout(order, False).number(data, 2, "H") == 43)


def _directory(data: bytes, layout: _Layout) -> tuple[int, int, int]:
    """(where the first directory is, where its entries begin, how many are really there)."""
    start = layout.number(data, 8 if layout.big else 4, layout.offset)
    first = start + struct.calcsize("=" + layout.counter)
    count = layout.number(data, start, layout.counter)
    return start, first, min(count, max(0, len(data) - first) // layout.entry, 4096)


def _oriented(exif: bytes) -> int:
    """Return the orientation in an EXIF block, 1 to 8; 0 when there is none."""
    try:
        layout = _layout(exif)
        _, first, count = _directory(exif, layout)
        for i in range(count):
            found = _orientation_of(exif, first + i * layout.entry, layout)
            if found:
                return found
    except (struct.error, ValueError):
        pass
    return 0


def _orientation_of(data: bytes, at: int, layout: _Layout) -> int:
    """Return the orientation in this entry, whatever integer type it was given; 0 for any other
    entry."""
    if layout.number(data, at, "H") != _ORIENTATION:
        return 0
    kind = layout.number(data, at + 2, "H")
    value_at = at + (12 if layout.big else 8)
    if kind in _RATIONALS:
        where = layout.number(data, value_at, layout.offset)
        over, under = (layout.number(data, where + i, "I") for i in (0, 4))
        value = over // under if under else 0
    elif kind == _ASCII:
        value = data[value_at] - ord("0")
    else:
        size = _SIZES.get(kind, 2)
        value = layout.number(data, value_at, {1: "B", 2: "H", 4: "I"}.get(size, "H"))
    return value if 1 <= value <= 8 else 0


def _tiff(data: bytes) -> Bare:
    """Keep only the entries of the first directory that define how its pixels are stored."""
    layout = _layout(data)
    start, first, count = _directory(data, layout)
    entries = [
        data[first + i * layout.entry : first + (i + 1) * layout.entry] for i in range(count)
    ]
    kept = [e for e in entries if layout.number(e, 0, "H") in _TIFF_NEEDED]
    orientation = next(filter(None, (_orientation_of(e, 0, layout) for e in entries)), 0)
    table = (
        struct.pack(layout.order + layout.counter, len(kept))
        + b"".join(kept)
        + bytes(struct.calcsize("=" + layout.offset))
    )
    if len(kept) == len(entries) or start + len(table) > len(data):
        return Bare(data)
    changed = bytearray(data)
    changed[start : start + len(table)] = table
    return Bare(bytes(changed), orientation or 1)
