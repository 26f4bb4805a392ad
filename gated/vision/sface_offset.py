"""The part that all of SFace's embeddings share, which belongs to no face.

The mean over many people of their unit embeddings is far from zero: 0.30 long. It tells nobody from
anybody, and makes strangers more alike, some more than others. Taken away, the same network misses
fewer people at the same false match rate (docs/accuracy.md). Centring embeddings before the cosine
is usual in speaker recognition: Garcia-Romero and Espy-Wilson, "Analysis of i-vector Length
Normalization in Speaker Recognition Systems", Interspeech 2011.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_THOUSANDTHS = """
-61 -15 37 22 47 30 12 16 -41 5 -20 33 -6 0 17 -12 -54 -14 -84 5 2 10 16 -26 -1 -20 -13 -13 -1
-17 0 46 7 -14 7 12 -29 32 15 -2 29 -19 -17 7 22 -9 -27 32 -16 9 -25 16 -1 17 -14 -25 28 -14 -16
4 0 46 -82 5 15 -14 10 -14 10 -17 39 -11 2 -25 31 -26 -16 -1 -57 7 -22 2 -23 6 -45 -4 34 -13 -5
-6 4 37 55 29 -32 -27 -1 41 -19 5 6 -22 -23 -55 -5 -35 -8 13 48 -23 42 -28 -30 -1 50 28 -32 -3
13 -2 -19 -40 49 -15 39 -33 -20 21
"""

OFFSET: Final[npt.NDArray[np.float32]] = np.array(_THOUSANDTHS.split(), np.float32) * np.float32(
    0.001
)
"""(128,) float32: mean of 1,241 people's mean unit embeddings, LFW view 2 folds 1-3.

`python -m tests.bench.sface_offset lfw/` prints it. Nobody can be told from it: that of
a hundred people drawn at random serves as well.
"""
OFFSET.setflags(write=False)
