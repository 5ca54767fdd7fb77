# SPDX-License-Identifier: Apache-2.0
"""What enters the network, against the official way in cv2 and NumPy."""

import cv2
import numpy as np
import pytest

from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.networks.preprocess import resize_normalised


def official(rgb, size):
    """The official code's steps (metric_depth/depth_anything_v2/util/transform.py): float64."""
    if rgb.shape[:2] == (1, 1):  # OpenCV 4.5 takes no array of one pixel
        rgb = np.repeat(rgb, 2, axis=1)
    resized = cv2.resize(rgb / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
    normalised = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return normalised.transpose(2, 0, 1)


def entering(rgb, size):
    """What enters a network, (3, h, w)."""
    out = np.full((3, *size), np.nan, np.float32)
    resize_normalised(rgb, Family.mean, Family.std, out)
    return out


def noise(height, width):
    """A picture in which every wrong position shows."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ('shape', 'size'),
    [
        ((480, 640), (518, 686)),
        ((1080, 1920), (518, 924)),
        ((640, 480), (686, 518)),
        ((518, 518), (518, 518)),
        ((37, 91), (252, 616)),
        ((1, 1), (14, 14)),
        ((2, 3), (14, 28)),
    ],
)
def test_the_official_way(shape, size):
    """Larger, smaller, the same size, tiny: values of up to 3 agree to a few 1e-6."""
    rgb = noise(*shape)
    x = entering(rgb, size)
    np.testing.assert_allclose(x, official(rgb, size), rtol=0, atol=5e-6)


def test_each_channel_is_normalised():
    """A plain colour by hand: (255, 51, 0) / 255, ImageNet's mean and deviation."""
    rgb = np.empty((20, 30, 3), np.uint8)
    rgb[:] = (255, 51, 0)
    x = entering(rgb, (14, 28))
    expected = ((1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225)
    for channel, value in zip(x, expected, strict=True):
        np.testing.assert_allclose(channel, value, rtol=2e-6)


@pytest.mark.parametrize('view', [np.s_[:, 5:45], np.s_[::2, ::3], np.s_[::-1, :]])
def test_any_view_of_a_picture(view):
    """Padded rows, every n-th pixel, upside down, read-only."""
    rgb = noise(48, 64)[view]
    rgb.setflags(write=False)
    np.testing.assert_allclose(entering(rgb, (56, 70)), official(rgb.copy(), (56, 70)), atol=5e-6)
