# SPDX-License-Identifier: Apache-2.0
"""What enters the network, against the official way in cv2 and NumPy."""

import threading

import cv2
import numpy as np
import pytest

from depth_pcd_ros.engine.preprocess import Preprocessor


def official(rgb, size):
    """The official code's steps (metric_depth/depth_anything_v2/util/transform.py): float64."""
    resized = cv2.resize(rgb / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
    normalised = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return normalised.transpose(2, 0, 1)[None]


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
    x = Preprocessor()(rgb, size)
    assert (x.shape, x.dtype) == ((1, 3, *size), np.float32)
    np.testing.assert_allclose(x, official(rgb, size), rtol=0, atol=5e-6)


def test_each_channel_is_normalised():
    """A plain colour by hand: (255, 51, 0) / 255, ImageNet's mean and deviation."""
    rgb = np.empty((20, 30, 3), np.uint8)
    rgb[:] = (255, 51, 0)
    x = Preprocessor()(rgb, (14, 28))
    expected = ((1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225)
    for channel, value in zip(x[0], expected, strict=True):
        np.testing.assert_allclose(channel, value, rtol=2e-6)


def test_memory_is_kept_and_none_of_the_last_picture_stays():
    """Sizes may change from picture to picture, and the caller may say where the result goes."""
    preprocessor = Preprocessor()
    for shape, size in (((48, 64), (56, 70)), ((30, 40), (56, 70)), ((48, 64), (28, 42))) * 2:
        rgb = noise(*shape)
        np.testing.assert_allclose(preprocessor(rgb, size), official(rgb, size), atol=5e-6)
    kept = preprocessor(noise(48, 64), (28, 42))
    assert preprocessor(noise(48, 64), (28, 42)) is kept
    out = np.empty((1, 3, 28, 42), np.float32)
    assert preprocessor(noise(48, 64), (28, 42), out) is out
    np.testing.assert_array_equal(out, kept)


def test_its_thread_ends_with_it():
    """A process that makes one preprocessor after another does not collect threads."""
    before = set(threading.enumerate())
    preprocessor = Preprocessor()
    preprocessor(noise(48, 64), (56, 70))
    (helper,) = set(threading.enumerate()) - before
    preprocessor.close()
    assert not helper.is_alive()


@pytest.mark.parametrize('view', [np.s_[:, 5:45], np.s_[::2, ::3], np.s_[::-1, :]])
def test_any_view_of_a_picture(view):
    """Padded rows, every n-th pixel, upside down, read-only."""
    rgb = noise(48, 64)[view]
    rgb.setflags(write=False)
    np.testing.assert_allclose(
        Preprocessor()(rgb, (56, 70)), official(rgb.copy(), (56, 70)), atol=5e-6
    )
