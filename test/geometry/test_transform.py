# SPDX-License-Identifier: Apache-2.0
"""Transforms against rotations worked out by hand."""

import math

import numpy as np
import pytest

from depth_pcd_ros.geometry.transform import StaticTransforms, apply, compose, invert

S = math.sqrt(0.5)
QUARTER_ABOUT_Z = (1.0, 2.0, 3.0, 0.0, 0.0, S, S)
QUARTER_ABOUT_X = (0.0, 0.0, 0.5, S, 0.0, 0.0, S)
POINTS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, -0.2, 0.9]])


def test_quarter_turns():
    """About z: x becomes y and y becomes -x. About x: y becomes z."""
    np.testing.assert_allclose(
        apply(QUARTER_ABOUT_Z, POINTS), [[1, 3, 3], [0, 2, 3], [1.2, 2.3, 3.9]], atol=1e-12
    )
    np.testing.assert_allclose(
        apply(QUARTER_ABOUT_X, POINTS), [[1, 0, 0.5], [0, 0, 1.5], [0.3, -0.9, 0.3]], atol=1e-12
    )


def test_compose_and_invert():
    """One after the other, and back."""
    both = compose(QUARTER_ABOUT_Z, QUARTER_ABOUT_X)
    expected = apply(QUARTER_ABOUT_Z, apply(QUARTER_ABOUT_X, POINTS))
    np.testing.assert_allclose(apply(both, POINTS), expected, atol=1e-12)
    np.testing.assert_allclose(apply(invert(both), expected), POINTS, atol=1e-12)


def test_static_transforms():
    """From one branch to another over what they have in common; a ring does no harm."""
    tree = StaticTransforms()
    tree.add('base', 'lidar', QUARTER_ABOUT_Z)
    tree.add('base', 'mast', (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    tree.add('mast', 'camera', QUARTER_ABOUT_X)
    tree.add('a', 'b', QUARTER_ABOUT_X)
    tree.add('b', 'a', QUARTER_ABOUT_X)
    in_base = apply(tree.find('base', 'camera'), POINTS)
    np.testing.assert_allclose(
        in_base, apply(QUARTER_ABOUT_X, POINTS) + np.array([0, 0, 1]), atol=1e-12
    )
    in_lidar = apply(tree.find('lidar', 'camera'), POINTS)
    np.testing.assert_allclose(apply(QUARTER_ABOUT_Z, in_lidar), in_base, atol=1e-12)
    assert tree.find('lidar', 'a') is None


def test_no_rotation():
    """A quaternion of another length than 1 is refused."""
    with pytest.raises(ValueError, match='has length 2, expected 1'):
        apply((0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0), POINTS)
