"""The face_recognition encoding: dlib's ResNet rebuilt as ONNX, run by OpenCV.

dlib's own call takes ten times as long and holds the interpreter's lock all the while. The `.dat`
file holds the published network ("anet" of dlib's face recognition example): a 7x7/2 convolution,
a 3x3/2 maximum, residual levels of 32x3, 64x4, 128x3, 256x3 and 256x1, an average, 256 -> 128.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Face, Image, Vector
from gated.errors import AssetError, SourceError
from gated.vision import onnx

CHIP = 150
PADDING = 0.25
MEAN_RGB = (122.782, 117.001, 104.298)
LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""(channels, blocks, whether the first block halves the size) of each residual level."""

RECIPE = 1

LARGEST = 10.0
"""Numbers of an encoding are below 1; beyond float32 they would be infinite in the gallery."""

HOG_SIZE = 0.976
HOG_OFFSET = (-0.026, -0.024)
"""dlib's HOG rectangle, which its predictor was trained on, in terms of YuNet's answer: side over
the geometric mean of the box, centre from the mean landmark over the same (265 faces of LFW)."""

Array = npt.NDArray[np.float32]


class DlibEmbedder:
    """An `Embedder` whose vectors are interchangeable with face_recognition 1.3.

    `weights`: dlib_face_recognition_resnet_model_v1.dat. `landmarks`: path of the 5-point
    predictor, which needs the module `dlib` (extra `dlib`). AssetError when either is missing.
    """

    dimension = 128
    metric = "cosine"
    mirrors = False

    def __init__(self, weights: bytes, landmarks: Path) -> None:
        self.model = f"dlib-resnet-v1/{hashlib.sha256(weights).hexdigest()[:16]}/r{RECIPE}"
        try:
            import dlib
        except ImportError:
            raise AssetError(
                "the engine dlib needs the module dlib: install gated with the extra `dlib`, or "
                "use vision.engine: sface"
            ) from None
        self._dlib = dlib
        self._predictor = dlib.shape_predictor(str(landmarks))
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(rebuild(weights), np.uint8))
        except cv2.error as error:
            raise AssetError(f"the dlib model cannot be loaded ({error.err})") from error

    def align(self, image: Image, face: Face) -> Image:
        """(150, 150, 3) BGR uint8: dlib's face chip from its own five landmarks."""
        left, top, right, bottom = _hog_rectangle(face)
        # dlib wants RGB: convert the surroundings only
        margin = right - left
        x, y = max(0, left - margin), max(0, top - margin)
        region = image[y : max(0, bottom + margin), x : max(0, right + margin)]
        if not region.size:
            return np.zeros((CHIP, CHIP, 3), np.uint8)
        rgb = np.ascontiguousarray(region[:, :, ::-1])
        box = self._dlib.rectangle(left - x, top - y, right - x, bottom - y)
        shape = self._predictor(rgb, box)
        chip = self._dlib.get_face_chip(rgb, shape, CHIP, PADDING)
        return np.ascontiguousarray(chip[:, :, ::-1], np.uint8)

    def embed_chip(self, chip: Image) -> Vector:
        """(128,) float32, as face_recognition gives it."""
        mean = MEAN_RGB
        blob = cv2.dnn.blobFromImage(chip, 1 / 256, (CHIP, CHIP), mean, swapRB=True)
        self._net.setInput(blob)
        return np.array(self._net.forward(), np.float32).ravel()


def rebuild(weights: bytes) -> bytes:
    """dlib's `.dat` file as an ONNX model `x` (1, 3, 150, 150) -> `y` (1, 128).

    Raises: AssetError.
    """
    try:
        return _Builder(_convolutions(weights), _fully_connected(weights)).model()
    except (ValueError, IndexError, StopIteration) as error:
        raise AssetError("the dlib model cannot be read: it is damaged or another one") from error


def read_encodings(data: bytes, name: str) -> npt.NDArray[np.float64]:
    """(n, 128) encodings from a `.npy` file made with face_recognition; SourceError otherwise.

    Files that hold pickled objects are refused: they would run code.
    """
    try:
        values = _plain_array(data)
    except Exception:
        # headers are parsed as Python literals, which fail in many ways
        raise SourceError(
            f"{name} is no .npy file of plain numbers (pickled objects are refused)"
        ) from None
    if values.dtype.kind != "f":
        raise SourceError(f"{name} does not hold floating point numbers")
    rows = np.atleast_2d(values)
    is_of_faces = rows.ndim == 2 and rows.shape[1] == 128 and len(rows) > 0
    # NaN is not below anything
    if not is_of_faces or not (np.abs(rows) <= LARGEST).all():
        raise SourceError(
            f"{name} does not hold encodings of faces: 128 numbers each, of {LARGEST:g} at most"
        )
    return np.asarray(rows, np.float64)


def _plain_array(data: bytes) -> npt.NDArray[Any]:
    """Return the array of a `.npy` file whose header promises no more than there is.

    Raises: ValueError.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(version)
    read_header = np.lib.format.read_array_header_1_0
    shape, by_columns, kind = (
        read_header(file) if version == (1, 0) else np.lib.format.read_array_header_2_0(file)
    )
    body = data[file.tell() :]
    if kind.hasobject or math.prod(shape) * kind.itemsize != len(body):
        raise ValueError(shape)
    return np.frombuffer(body, kind).reshape(shape, order="F" if by_columns else "C")


def _hog_rectangle(face: Face) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the square that dlib's detector would have given."""
    size = float(np.sqrt(max(1.0, face.box.width * face.box.height)))
    x, y = face.landmarks.mean(axis=0) + np.array(HOG_OFFSET) * size
    half = HOG_SIZE * size / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def _convolutions(data: bytes) -> Iterator[tuple[Array, Array]]:
    """(weights (out, in, k, k), biases) of each convolution, its affine layer folded in."""
    at = 0
    while (at := data.find(b"\x01\x05con_4", at)) >= 0:
        values, at = _tensor(data, at + 7)
        (out, rows, columns), at = _integers(data, at, 3)
        affine, at = _tensor(data, data.index(b"\x01\x07affine_", at) + 9)
        gamma, beta = affine[:out], affine[out:]
        kernel = values[:-out].reshape(out, -1, rows, columns)
        yield kernel * gamma[:, None, None, None], values[-out:] * gamma + beta


def _fully_connected(data: bytes) -> Array:
    """(256, 128) weights of the last layer."""
    (outputs, inputs), at = _integers(data, data.index(b"\x01\x04fc_2") + 6, 2)
    values, _ = _tensor(data, at)
    return values.reshape(inputs, outputs)


def _tensor(data: bytes, at: int) -> tuple[Array, int]:
    """Return the values of a resizable_tensor of dlib, and where it ends."""
    (version, *shape), at = _integers(data, at, 5)
    end = at + 4 * int(np.prod(shape))
    if version != 2 or end > len(data):
        raise ValueError("unknown tensor")
    return np.frombuffer(data[at:end], "<f4"), end


def _integers(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """dlib's integers: a byte with the length (and the sign in its high bit), then the bytes."""
    found = []
    for _ in range(count):
        length, sign = data[at] & 0x0F, -1 if data[at] & 0x80 else 1
        found.append(sign * int.from_bytes(data[at + 1 : at + 1 + length], "little"))
        at += 1 + length
    return found, at


class _Builder:
    """Writes the network layer by layer; `size` and `channels` are those of the last output."""

    def __init__(self, convolutions: Iterator[tuple[Array, Array]], last: Array) -> None:
        self._convolutions = convolutions
        self._last = last
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []

    def model(self) -> bytes:
        """Return the whole network as ONNX."""
        x, size = self._convolution("x", CHIP, stride=2, pad=0)
        x, size = self._pool("MaxPool", self._add("Relu", x), size, 3)
        channels = LEVELS[0][0]
        for width, blocks, halves in LEVELS:
            for block in range(blocks):
                x, size = self._residual(x, size, channels, width, halves and block == 0)
                channels = width
        x = self._add("Flatten", self._add("GlobalAveragePool", x), axis=1)
        self._tensors.append(onnx.tensor("last", self._last))
        self._nodes.append(onnx.node("MatMul", [x, "last"], "y"))
        if next(self._convolutions, None) is not None:
            raise ValueError("more layers than the published network has")
        source = onnx.value_info("x", (1, 3, CHIP, CHIP))
        return onnx.model(self._nodes, self._tensors, source, onnx.value_info("y", (1, 128)))

    def _residual(
        self, x: str, size: int, channels: int, width: int, halves: bool
    ) -> tuple[str, int]:
        """relu(skip + affine(conv(relu(affine(conv(x)))))); the smaller side is zero-padded."""
        inner, inside = self._convolution(x, size, *((2, 0) if halves else (1, 1)))
        inner, inside = self._convolution(self._add("Relu", inner), inside, stride=1, pad=1)
        if halves:
            x, size = self._pool("AveragePool", x, size, 2)
        large = max(size, inside)
        skip = self._padded(x, width - channels, large - size)
        total = self._add("Add", skip, self._padded(inner, 0, large - inside))
        return self._add("Relu", total), large

    def _convolution(self, x: str, size: int, stride: int, pad: int) -> tuple[str, int]:
        kernel, bias = next(self._convolutions)
        side = kernel.shape[2]
        name = f"c{len(self._nodes)}"
        self._tensors += [onnx.tensor(f"{name}w", kernel), onnx.tensor(f"{name}b", bias)]
        y = self._add(
            "Conv",
            x,
            f"{name}w",
            f"{name}b",
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[pad] * 4,
        )
        return y, (size + 2 * pad - side) // stride + 1

    def _pool(self, op: str, x: str, size: int, side: int) -> tuple[str, int]:
        y = self._add(op, x, kernel_shape=[side, side], strides=[2, 2])
        return y, (size - side) // 2 + 1

    def _padded(self, x: str, channels: int, side: int) -> str:
        """Zeros behind the last channel and at the bottom and right."""
        if not channels and not side:
            return x
        name = f"p{len(self._nodes)}"
        amounts = np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)
        self._tensors.append(onnx.tensor(name, amounts))
        return self._add("Pad", x, name)

    def _add(self, op: str, *inputs: str, **attributes: onnx.Attribute) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(onnx.node(op, inputs, name, **attributes))
        return name
