# SPDX-License-Identifier: Apache-2.0
"""Buffers that are written over for each frame: new memory costs more than what is put into it."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import numpy.typing as npt


class Buffer:
    """A reusable buffer for one array at a time.

    Attributes:
        data: the bytes of the last array, no more and no less; an `array.array`, which `msg.data`
            accepts unchecked.
    """

    def __init__(self) -> None:
        self.data: array.array[int] = array.array('B')

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialized array in this memory; what was there before is lost."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if len(self.data) != size:
            self._resize(size)
        if not size:
            return np.empty(shape, dtype)
        # NumPy 1.21 does not keep an array.array from being resized under it; a memoryview does.
        return np.frombuffer(memoryview(self.data), dtype).reshape(shape)

    def _resize(self, size: int) -> None:
        try:
            del self.data[size:]
            self.data.frombytes(bytes(size - len(self.data)))
        except BufferError:  # an array in it is still held: that one keeps the old memory
            self.data = array.array('B', bytes(size))
