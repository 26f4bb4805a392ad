"""Just enough of ONNX's protobuf to repair a model and to write one; numpy only.

Field numbers are those of onnx.proto3 (ModelProto, GraphProto, NodeProto, TensorProto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Value = int | bytes
Part = bytes | memoryview
Attribute = int | float | Sequence[int]

_DTYPES = {1: "<f4", 3: "|i1", 7: "<i8"}
_TYPE_OF = {"float32": 1, "int8": 3, "int64": 7}


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field: int for a varint, bytes for the rest.

    Raises ValueError when the message is cut off or damaged.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _read_varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"protobuf wire type {wire} at byte {at}")
        if at + size > len(message):
            raise ValueError("protobuf message is cut off")
        yield number, message[at : at + size]
        at += size


def put(number: int, value: int | bytes | str | float) -> bytes:
    """Return one field; str as UTF-8, float as 32 bit."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def put_parts(number: int, parts: Sequence[Part]) -> list[Part]:
    """Return the parts of one field whose value is `parts` joined: weights are large, and copied
    once."""
    return [_varint(number << 3 | 2) + _varint(sum(len(p) for p in parts)), *parts]


def strings(message: bytes, number: int) -> list[str]:
    """Return all values of one string field."""
    return [bytes(v).decode() for n, v in fields(message) if n == number and isinstance(v, bytes)]


def numbers(message: bytes, number: int) -> list[int]:
    """Return all values of one integer field, packed or not."""
    found: list[int] = []
    for n, value in fields(message):
        if n != number:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            one, at = _read_varint(value, at)
            found.append(one)
    return found


def read_tensor(message: bytes) -> tuple[str, Array]:
    """Name and values of a TensorProto of float32, int8 or int64 with raw or packed float data."""
    (name,) = strings(message, 8)
    (kind,) = numbers(message, 2)
    raw = [v for n, v in fields(message) if n in (4, 9) and isinstance(v, bytes)]
    if kind not in _DTYPES or len(raw) != 1:
        raise ValueError(f"tensor {name}: unknown kind of data")
    return name, np.frombuffer(raw[0], _DTYPES[kind]).reshape(numbers(message, 1))


def tensor(name: str, values: Array) -> bytes:
    """Return a TensorProto with raw data."""
    return b"".join(tensor_parts(name, values))


def tensor_parts(name: str, values: Array) -> list[Part]:
    """Return the parts of a TensorProto; the last one is the memory of `values`."""
    head = b"".join(put(1, n) for n in values.shape) + put(2, _TYPE_OF[values.dtype.name])
    raw = np.ascontiguousarray(values).data.cast("B")
    return [head, put(8, name), *put_parts(9, [raw])]


def node(op: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """Return a NodeProto with integer, float and integer-list attributes."""
    parts = [put(1, name) for name in inputs] + [put(2, output), put(3, output), put(4, op)]
    return b"".join(parts) + b"".join(put(5, _attribute(k, v)) for k, v in attributes.items())


def value_info(name: str, shape: Sequence[int]) -> bytes:
    """Return a ValueInfoProto of a float32 tensor."""
    dims = b"".join(put(1, put(1, n)) for n in shape)
    return put(1, name) + put(2, put(1, put(1, 1) + put(2, dims)))


def model(
    nodes: Sequence[bytes], tensors: Sequence[bytes], source: bytes, result: bytes, opset: int = 13
) -> bytes:
    """Return a ModelProto with one input and one output (both made with `value_info`)."""
    graph = b"".join(put(1, n) for n in nodes) + put(2, "gated")
    graph += b"".join(put(5, t) for t in tensors) + put(11, source) + put(12, result)
    return put(1, 8) + put(7, graph) + put(8, put(1, "") + put(2, opset))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return put(1, name) + put(3, value) + put(20, 2)
    if isinstance(value, float):
        return put(1, name) + put(2, value) + put(20, 1)
    return put(1, name) + b"".join(put(8, n) for n in value) + put(20, 7)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("protobuf message is cut off")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
