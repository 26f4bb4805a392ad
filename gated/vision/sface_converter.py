"""The cleaning recipe of SFace's published int8bq file.

OpenCV 5 wants constant weights: the file lists them as graph inputs and dequantises them block by
block at run time. Folded to float32 once, it loads everywhere and runs twice as fast. Its last
layer becomes a convolution, of whose weights OpenCV keeps one copy and not two: 25 MB less.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from gated.errors import AssetError
from gated.vision import onnx

MAP = 7
"""Side of the map that the last layer sees, for chips of 112 pixels."""


def clean_sface(published: bytes) -> bytes:
    """The same network with constant float32 weights; deterministic. AssetError when damaged."""
    try:
        parts = list(onnx.fields(published))
        (graph,) = [v for n, v in parts if n == 7 and isinstance(v, bytes)]
        cleaned = _clean_graph(graph)
    except (ValueError, KeyError) as error:
        raise AssetError(f"the SFace model cannot be read ({error})") from error
    whole = [onnx.put_parts(7, cleaned) if n == 7 else [onnx.put(n, v)] for n, v in parts]
    return b"".join(part for field in whole for part in field)


def _clean_graph(graph: bytes) -> list[onnx.Part]:
    """Return the parts of the cleaned graph."""
    parts = [(n, v) for n, v in onnx.fields(graph) if isinstance(v, bytes)]
    tensors = dict(onnx.read_tensor(v) for n, v in parts if n == 5)
    nodes: list[bytes] = []
    for node in (v for n, v in parts if n == 1):
        if _fold(node, tensors) is not None:
            continue
        if nodes and _op(nodes[-1]) == "Flatten" and _op(node) == "Gemm":
            (flat,) = onnx.strings(nodes.pop(), 1)
            nodes += _as_convolution(node, tensors, flat)
        else:
            nodes.append(node)
    wanted = {name for node in nodes for name in onnx.strings(node, 1)}
    inputs = [v for n, v in parts if n == 11 and onnx.strings(v, 1)[0] in wanted - set(tensors)]
    kept = [onnx.tensor_parts(name, values) for name, values in tensors.items() if name in wanted]
    return [
        *(onnx.put(1, v) for v in nodes),
        onnx.put(2, "sface"),
        *(part for tensor in kept for part in onnx.put_parts(5, tensor)),
        *(onnx.put(11, v) for v in inputs),
        *(onnx.put(12, v) for n, v in parts if n == 12),
    ]


def _op(node: bytes) -> str:
    (op,) = onnx.strings(node, 4)
    return op


def _fold(node: bytes, tensors: dict[str, onnx.Array]) -> str | None:
    """Compute a node over constants and add its result to `tensors`; None for any other node."""
    op = _op(node)
    inputs, outputs = onnx.strings(node, 1), onnx.strings(node, 2)
    if op not in ("DequantizeLinear", "Reshape") or not all(name in tensors for name in inputs):
        return None
    if op == "Reshape":
        shape = cast("npt.NDArray[np.int64]", tensors[inputs[1]])
        tensors[outputs[0]] = tensors[inputs[0]].reshape(shape.tolist())
        return outputs[0]
    values, scales, zeros = (tensors[name] for name in inputs)
    integers = {
        onnx.strings(a, 1)[0]: onnx.numbers(a, 3)[0]
        for n, a in onnx.fields(node)
        if n == 5 and isinstance(a, bytes)
    }
    axis, block = integers["axis"], integers["block_size"]
    tensors[outputs[0]] = _dequantise(values, scales, zeros, axis, block)
    return outputs[0]


def _as_convolution(node: bytes, tensors: dict[str, onnx.Array], flat: str) -> list[bytes]:
    """Replace a fully connected layer by a convolution and a flattening after it.

    flat: the map that would be flattened before it. Changes the shape of the weights.
    """
    weights, bias = onnx.strings(node, 1)[1:]
    (result,) = onnx.strings(node, 2)
    outputs, inputs = tensors[weights].shape
    tensors[weights] = tensors[weights].reshape(outputs, inputs // MAP**2, MAP, MAP)
    seen = f"{result}_map"
    return [
        onnx.node("Conv", [flat, weights, bias], seen, kernel_shape=[MAP, MAP]),
        onnx.node("Flatten", [seen], result),
    ]


def _dequantise(
    values: onnx.Array, scales: onnx.Array, zeros: onnx.Array, axis: int, block: int
) -> npt.NDArray[np.float32]:
    """(value - zero) * scale, where one scale stands for `block` neighbours along `axis` (ONNX)."""
    everything = [slice(None)] * values.ndim
    everything[axis] = slice(values.shape[axis])

    def spread(a: onnx.Array) -> npt.NDArray[np.float32]:
        return np.repeat(a.astype(np.float32), block, axis=axis)[tuple(everything)]

    return (values.astype(np.float32) - spread(zeros)) * spread(scales)
