# SPDX-License-Identifier: Apache-2.0
"""Buffer that is written over for each frame."""

import numpy as np

from depth_pcd_ros.memory import Buffer


def test_the_bytes_are_those_of_the_array():
    """Larger, smaller, of another type, without any element."""
    memory = Buffer()
    for shape, dtype in (((3, 4), np.float32), ((2, 5, 3), np.uint8), ((0, 4), np.float32)) * 2:
        values = memory.array(shape, dtype)
        assert (values.shape, values.dtype) == (shape, dtype)
        values[...] = 7
        assert memory.data.tobytes() == values.tobytes()


def test_the_same_size_is_the_same_memory():
    """So that no new page is touched."""
    memory = Buffer()
    address = memory.array((100, 4), np.float32).ctypes.data
    assert memory.array((400,), np.float32).ctypes.data == address


def test_an_array_that_is_still_held_stays_whole():
    """Buffer cannot be resized under it, so there is new memory then."""
    memory = Buffer()
    held = memory.array((4,), np.uint8)
    held[:] = 1
    memory.array((8,), np.uint8)[:] = 2
    assert held.tolist() == [1, 1, 1, 1]
    assert memory.data.tolist() == [2] * 8


def test_an_array_that_is_still_held_stays_where_it_is():
    """Through every view of it: reading one whose memory has moved would end the process."""
    memory = Buffer()
    view = memory.array((2, 3), np.float32)[1:, ::2]
    view[...] = 5.0
    data = memory.data
    for size in (2**20, 0, 2**24):
        memory.array((size,), np.uint8)
    assert view.tolist() == [[5.0, 5.0]]
    assert memory.data is not data
