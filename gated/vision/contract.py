"""Check what every engine does, for the author of one. See `devices.contract`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gated.core.values import Face, Image
from gated.ports import Embedder, expect


@dataclass
class EngineBench:
    """An embedder, and a picture with a face that the detector found in it."""

    embedder: Embedder
    image: Image
    face: Face


MakeEngine = Callable[[], EngineBench]


def makes_templates_of_its_dimension(make: MakeEngine) -> None:
    """A template is `dimension` float32 numbers, not all of them zero."""
    bench = make()
    template = bench.embedder.embed_chip(bench.embedder.align(bench.image, bench.face))
    expect(template.dtype == np.float32, f"numbers are {template.dtype}, not float32")
    expect(template.shape == (bench.embedder.dimension,), f"the shape is {template.shape}")
    expect(np.isfinite(template).all(), "some numbers are not finite")
    expect(np.any(template), "all numbers are nought")


def aligns_to_bgr_chips(make: MakeEngine) -> None:
    """A chip is a BGR picture of bytes, and aligning leaves the frame alone."""
    bench = make()
    before = bench.image.copy()
    chip = bench.embedder.align(bench.image, bench.face)
    expect(chip.dtype == np.uint8 and chip.ndim == 3 and chip.shape[2] == 3, "no BGR chip")
    expect(np.array_equal(bench.image, before), "align() writes into the frame")


def repeats_itself(make: MakeEngine) -> None:
    """The same face gives the same template, in another embedder as well."""
    first, second = make(), make()
    one, other = (
        bench.embedder.embed_chip(bench.embedder.align(bench.image, bench.face))
        for bench in (first, second)
    )
    expect(np.allclose(one, other, atol=1e-5), "the same face gives another template")


def says_what_it_is(make: MakeEngine) -> None:
    """Templates are pinned to `model`; `metric` says how they are compared."""
    embedder = make().embedder
    expect(embedder.model.strip(), "a model without a name")
    expect(embedder.metric in {"cosine", "euclidean"}, f"no metric: {embedder.metric}")


ENGINE_CHECKS: Mapping[str, Callable[[MakeEngine], None]] = {
    check.__name__: check
    for check in (
        makes_templates_of_its_dimension,
        aligns_to_bgr_chips,
        repeats_itself,
        says_what_it_is,
    )
}
