"""The protobuf reader and writer, and the cleaning of SFace's file on a small one of its kind."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import AssetError
from gated.vision import onnx
from gated.vision.sface_converter import clean_sface


@given(st.integers(0, 2**63 - 1), st.binary(max_size=300), st.integers(1, 500))
def test_fields_come_back(number: int, data: bytes, field: int) -> None:
    message = onnx.put(field, number) + onnx.put(field, data)
    assert list(onnx.fields(message)) == [(field, number), (field, data)]


@given(st.binary(max_size=200))
def test_noise_is_a_value_error_or_fields(noise: bytes) -> None:
    try:
        found = list(onnx.fields(noise))
    except ValueError:
        return
    assert all(number >= 0 for number, _ in found)


@given(st.binary(min_size=2, max_size=50), st.data())
def test_a_message_cut_off_is_an_error(data: bytes, draw: st.DataObject) -> None:
    message = onnx.put(3, data)
    cut = draw.draw(st.integers(1, len(message) - 1))
    with pytest.raises(ValueError, match="cut off"):
        list(onnx.fields(message[:cut]))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64"])
def test_tensors_come_back(dtype: str) -> None:
    values = np.arange(-6, 6).reshape(3, 1, 4).astype(dtype)
    name, read = onnx.read_tensor(onnx.tensor("w", values))
    assert name == "w"
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def quantised_model(weights: np.ndarray, scales: np.ndarray, zeros: np.ndarray) -> bytes:
    """y = Conv1x1(x) whose weights stand in the graph's inputs, in blocks of two along axis 1."""
    tensors = {
        "w_quantized": weights,
        "w_scales": scales,
        "w_zeros": zeros,
        "w_shape": np.array([2, 4, 1, 1], np.int64),
    }
    nodes = [
        onnx.node("DequantizeLinear", list(tensors)[:3], "w_float", axis=1, block_size=2),
        onnx.node("Reshape", ["w_float", "w_shape"], "w"),
        onnx.node("Conv", ["x", "w"], "y", kernel_shape=[1, 1]),
    ]
    graph = b"".join(onnx.put(1, n) for n in nodes) + onnx.put(2, "g")
    graph += b"".join(onnx.put(5, onnx.tensor(k, v)) for k, v in tensors.items())
    for name in ("x", *tensors, "w_stale"):
        graph += onnx.put(11, onnx.value_info(name, (1, 4, 1, 1)))
    graph += onnx.put(12, onnx.value_info("y", (1, 2, 1, 1)))
    return onnx.put(1, 6) + onnx.put(7, graph) + onnx.put(8, onnx.put(1, "") + onnx.put(2, 21))


def test_cleaning_folds_the_blocks_and_drops_the_inputs() -> None:
    weights = np.array([[1, -2, 3, 4], [5, 6, -7, 8]], np.int8)
    scales = np.array([[0.5, 2.0], [1.0, 0.25]], np.float32)
    zeros = np.array([[0, 1], [-1, 2]], np.int8)
    published = quantised_model(weights, scales, zeros)
    cleaned = clean_sface(published)
    assert cleaned == clean_sface(published)
    expected = np.array([[0.5, -1, 4, 6], [6, 7, -2.25, 1.5]], np.float32)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(cleaned, np.uint8))
    x = np.array([1, 10, 100, 1000], np.float32)
    net.setInput(x.reshape(1, 4, 1, 1))
    np.testing.assert_allclose(np.asarray(net.forward()).ravel(), expected @ x, rtol=1e-6)


def test_the_last_layer_as_a_convolution_gives_the_same() -> None:
    """A fully connected layer over a flattened map of 3 x 7 x 7."""
    rng = np.random.default_rng(4)
    weights, bias = rng.normal(size=(5, 147)).astype(np.float32), np.arange(5, dtype=np.float32)
    nodes = [
        onnx.node("Relu", ["x"], "map"),
        onnx.node("Flatten", ["map"], "flat"),
        onnx.node("Gemm", ["flat", "w", "b"], "y", transB=1),
    ]
    graph = b"".join(onnx.put(1, n) for n in nodes) + onnx.put(2, "g")
    graph += b"".join(onnx.put(5, onnx.tensor(k, v)) for k, v in (("w", weights), ("b", bias)))
    graph += onnx.put(11, onnx.value_info("x", (1, 3, 7, 7)))
    graph += onnx.put(12, onnx.value_info("y", (1, 5)))
    published = onnx.put(1, 6) + onnx.put(7, graph) + onnx.put(8, onnx.put(2, 21))
    cleaned = clean_sface(published)
    assert b"Gemm" in published
    assert b"Gemm" not in cleaned
    x = rng.normal(size=(1, 3, 7, 7)).astype(np.float32)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(cleaned, np.uint8))
    net.setInput(x)
    found = np.asarray(net.forward())
    assert found.shape == (1, 5)
    expected = weights @ np.maximum(x, 0).ravel() + bias
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 40, b"PK\x03\x04not a model"])
def test_damage_is_an_asset_error(damage: bytes) -> None:
    with pytest.raises(AssetError, match="cannot be read"):
        clean_sface(damage)


def test_truncation_is_an_asset_error() -> None:
    ones = np.ones((2, 4), np.int8)
    whole = quantised_model(ones, np.ones((2, 2), np.float32), np.zeros((2, 2), np.int8))
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises(AssetError):
            clean_sface(whole[:length])
