# SPDX-License-Identifier: Apache-2.0
"""The selection of pictures of a video or a recording."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Selection:
    """Every n-th picture of a stretch of time."""

    every: int = 1  # n, counted from the first picture
    start: float = 0.0  # the stretch's beginning, from the first picture on [s]
    end: float = math.inf  # its end [s]

    def has(self, number: int, seconds: float) -> bool:
        """Return whether it has the picture of this number, from 0, at this time."""
        return number % self.every == 0 and self.start <= seconds <= self.end

    def count(self, total: int, rate: float = 0.0) -> int:
        """Return how many of `total` pictures it has; there are `rate` a second, if known."""
        if rate:
            last = min(total - 1, math.floor(min(self.end * rate, 1e9)))
            return max(last // self.every - math.ceil(self.start * rate / self.every) + 1, 1)
        return max(math.ceil(total / self.every), 1)
