"""QR codes: drawn for a badge, and found in what the camera sees."""

from __future__ import annotations

import cv2
import numpy as np

from gated.core.values import Image

MODULE_PX = 8
QUIET = 4
"""Modules of white around a code; the standard (ISO/IEC 18004) wants four."""

REDUNDANCY = "Q"
"""A quarter of a code may be hidden or spoilt; the next lower level allows a seventh."""

LONG_SIDE = 960
"""Larger pictures are shrunk: a badge that is held up to the camera stays readable."""


def draw(content: str) -> bytes:
    """Return a PNG of the QR code with this content."""
    import zxingcpp  # few gates have badges

    code = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCode, ec_level=REDUNDANCY)
    modules = np.asarray(code.to_image(scale=MODULE_PX, add_quiet_zones=False), np.uint8)
    edge = QUIET * MODULE_PX
    framed = cv2.copyMakeBorder(modules, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=[255])
    _, png = cv2.imencode(".png", framed)
    return png.tobytes()


def read(image: Image) -> frozenset[str]:
    """Return the contents of the QR codes in a BGR picture: a poster may hang behind a badge."""
    import zxingcpp

    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = LONG_SIDE / max(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    only = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    try:
        return frozenset(code.text for code in zxingcpp.read_barcodes(gray, formats=only))
    except (ValueError, RuntimeError):
        # a picture at which the decoder fails is no badge of ours
        return frozenset()
