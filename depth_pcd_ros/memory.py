# SPDX-License-Identifier: Apache-2.0
"""Buffer that is written over for each frame: new memory costs more than what is put into it."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import numpy.typing as npt


class Buffer:
    """Room for one array after another, as what `msg.data` takes without a check of every byte.

    Attributes:
        data: the bytes of the last array, no more and no less.
    """

    def __init__(self) -> None:
        self.data: array.array[int] = array.array('B')

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array in this memory; what was there before is lost."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if len(self.data) != size:
            self._resize(size)
        if not size:
            return np.empty(shape, dtype)
        return np.frombuffer(self.data, dtype).reshape(shape)

    def _resize(self, size: int) -> None:
        try:
            del self.data[size:]
            self.data.frombytes(bytes(size - len(self.data)))
        except BufferError:  # an array in it is still held: that one keeps the old memory
            self.data = array.array('B', bytes(size))
