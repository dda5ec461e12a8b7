"""From float to fixed point: dither, rounding, clipping."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from stellatune_plugins.model import Block

_SEED_MASK: Final = (1 << 64) - 1


class Quantizer:
    """Rounds blocks to 16 or 24 bit, with TPDF dither of two steps' width (one step each way).

    The sum of two independent uniform noises makes the error's mean and variance independent of the signal (Lipshitz,
    Wannamaker and Vanderkooy, "Quantization and Dither: A Theoretical Survey", JAES 40, 1992). A block whose samples
    all lie on the target's grid already, such as digital silence or an unprocessed 16-bit track, is left as it is:
    where nothing is rounded there is no error to dither.

    Args:
        bits: 16 or 24.
        channels: of the blocks to come.
        dither: whether to dither at all.
        seed: the same seed gives the same noise.
    """

    def __init__(self, bits: int, channels: int, *, dither: bool = True, seed: int = 0) -> None:
        self.clipped = 0
        self._scale = np.float32(1 << (bits - 1))
        self._highest = np.float32((1 << (bits - 1)) - 1)
        self._channels = channels
        self._dither = dither
        self._noise = np.random.SFC64(seed & _SEED_MASK)

    def __call__(self, block: Block) -> npt.NDArray[np.int32]:
        """Integers of the same shape; what is not a number becomes silence, what is too loud is cut and counted."""
        scaled = block * self._scale
        if not np.isfinite(scaled).all():
            np.nan_to_num(scaled, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
        rounded = np.rint(scaled)
        if self._dither and not np.array_equal(rounded, scaled):
            scaled += self._triangular(scaled.size).reshape(scaled.shape)
            rounded = np.rint(scaled, out=rounded)
        if len(rounded) and (rounded.max() > self._highest or rounded.min() < -self._scale):
            self.clipped += int(np.count_nonzero((rounded > self._highest) | (rounded < -self._scale)))
            np.clip(rounded, -self._scale, self._highest, out=rounded)
        integers: npt.NDArray[np.int32] = rounded.astype(np.int32)
        return integers

    def _triangular(self, count: int) -> npt.NDArray[np.float32]:
        """Noise between -1 and 1: differences of two uniform 16-bit numbers, four of which come with each draw."""
        uniform = self._noise.random_raw((count + 1) // 2).view(np.uint16)
        noise: npt.NDArray[np.float32] = uniform[:count].astype(np.float32)
        noise -= uniform[count : 2 * count]
        noise *= np.float32(1 / 65536)
        return noise
