# SPDX-License-Identifier: Apache-2.0
"""Large arrays into messages without a copy, and without a check of every byte."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import numpy.typing as npt


def set_data(msg: Any, values: npt.NDArray[Any], data: array.array[int] | None = None) -> None:
    """Set `msg.data` to the bytes of an array.

    Args:
        msg: an Image or a PointCloud2.
        values: any array.
        data: its bytes where they are in an array.array already, as in `Buffer`; else they are
            copied. They may be written over as soon as publish() has returned: rclpy copies them
            there into the middleware's own message, and it has no publishing within a process that
            would hand them on.

    Raises:
        ValueError: `data` has another size.
    """
    if data is None:
        data = array.array('B')
        if values.size:
            data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    elif len(data) != values.nbytes:
        raise ValueError(f'data has {len(data)} bytes, expected {values.nbytes}')
    if hasattr(msg, '_check_fields'):
        # Since ROS 2 Iron fields are not checked unless asked, and what is not checked is copied;
        # an array.array that is checked is taken as it is, as it always was on Humble.
        msg._check_fields = True
    msg.data = data
