# SPDX-License-Identifier: Apache-2.0
"""Depth resized to the picture, against torch, with which the official code does it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from depth_pcd_ros.engine.upsample import upsample


@pytest.mark.parametrize(
    ('source', 'size'),
    [
        ((518, 686), (480, 640)),
        ((518, 924), (1080, 1920)),
        ((686, 518), (640, 480)),
        ((14, 28), (14, 28)),
        ((14, 14), (1, 1)),
        ((14, 28), (1, 50)),
        ((1, 1), (3, 4)),
        ((1, 5), (9, 2)),
    ],
)
def test_as_torch(source, size):
    """Noise, in which every wrong position shows, to a few 1e-7 of its range."""
    depth = np.random.default_rng(0).random(source, np.float32)
    expected = F.interpolate(
        torch.from_numpy(depth)[None, None], size, mode='bilinear', align_corners=True
    )
    result = upsample(depth, size)
    assert (result.shape, result.dtype) == (size, np.float32)
    np.testing.assert_allclose(result, expected[0, 0], rtol=0, atol=1e-6)


def test_by_hand():
    """The corners stay, and between 1 and 3 lies 2."""
    depth = np.array([[1.0, 3.0], [5.0, 7.0]], np.float32)
    out = np.empty((3, 3), np.float32)
    assert upsample(depth, (3, 3), out) is out
    np.testing.assert_array_equal(out, [[1, 2, 3], [3, 4, 5], [5, 6, 7]])
