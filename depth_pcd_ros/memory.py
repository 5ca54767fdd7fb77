# SPDX-License-Identifier: Apache-2.0
"""Memory that is written over for each frame: new memory costs more than what is put into it."""

from __future__ import annotations

import array
import math

import numpy as np
import numpy.typing as npt


class Memory:
    """Bytes for one array after another, as what `msg.data` takes without a check of every byte.

    Attributes:
        data: the bytes of the last array, no more and no less.
    """

    def __init__(self) -> None:
        self.data: array.array[int] = array.array('B')

    def floats(self, *shape: int) -> npt.NDArray[np.float32]:
        """An array of float32 in this memory; what was there before is lost."""
        return np.frombuffer(self._room(4 * math.prod(shape)), np.float32).reshape(shape)

    def millimetres(self, *shape: int) -> npt.NDArray[np.uint16]:
        """The same, of uint16."""
        return np.frombuffer(self._room(2 * math.prod(shape)), np.uint16).reshape(shape)

    def bytes(self, *shape: int) -> npt.NDArray[np.uint8]:
        """The same, of uint8."""
        return np.frombuffer(self._room(math.prod(shape)), np.uint8).reshape(shape)

    def _room(self, size: int) -> array.array[int]:
        if len(self.data) == size:
            return self.data
        try:
            del self.data[size:]
            self.data.frombytes(bytes(size - len(self.data)))
        except BufferError:  # an array in it is still held: that one keeps the old memory
            self.data = array.array('B', bytes(size))
        return self.data
