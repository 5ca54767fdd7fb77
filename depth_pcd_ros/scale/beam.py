# SPDX-License-Identifier: Apache-2.0
"""Scale from one distance along a beam, of a range finder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.measurement import SATURATED, Measurement, ScaleError
from depth_pcd_ros.sync.readings import RangeReading

SAMPLES = 15  # pixels along each side of the square around the beam
MIN_REACH = 1 / 80  # of the picture's height, from the beam's middle to the outermost of them
MAX_SPREAD = 0.25  # of the samples' scales, 10th to 90th percentile; with more, it meets an edge
MIN_SAMPLES = 0.5  # share that must be in the picture


def measure(
    depth: npt.NDArray[np.float32],
    camera: Camera,
    reading: RangeReading,
    beam: tuple[Sequence[float], Sequence[float]],
    max_depth: float,
) -> Measurement:
    """Compare the distance with the median of the depths in the beam's cone.

    Each pixel p of it has the scale s that puts it at the measured distance r from the sensor at
    o: |s p - o| = r.

    Args:
        depth: depth along z [m], (H, W) float32.
        camera: the model of these pixels.
        reading: what was measured.
        beam: its origin [m], where the sensor is, and its direction, of any length, both in the
            optical frame.
        max_depth: depth at which the network's output ends [m].

    Raises:
        ScaleError: `out_of_range`, `outside`, `at_edges`, `saturated`, `no_depth`,
            `no_agreement`.
    """
    r = reading.distance
    if not (math.isfinite(r) and reading.minimum <= r <= reading.maximum and r > 0.0):
        raise ScaleError(
            'out_of_range',
            f'the range is {r:g} m, expected {reading.minimum:g} to {reading.maximum:g} m',
        )
    o, direction = np.array(beam, np.float64)
    middle = o + r * direction / np.linalg.norm(direction)
    pixel = camera.project(middle)
    size = np.array([camera.width, camera.height])
    if not (np.isfinite(pixel).all() and (pixel >= 0).all() and (pixel <= size - 1).all()):
        raise ScaleError('outside', f'the beam ends out of view, at pixel {_pair(pixel)}')

    spread_px = r * math.tan(min(max(reading.field_of_view, 0.0), 3.0) / 2) / middle[2]
    steps = np.linspace(-1.0, 1.0, SAMPLES)
    du, dv = np.meshgrid(steps, steps)
    in_cone = np.hypot(du, dv) <= 1.0
    reach = np.maximum(spread_px * np.array([camera.fx, camera.fy]), MIN_REACH * camera.height)
    around = pixel + np.stack([du[in_cone], dv[in_cone]], -1) * reach  # (N, 2)
    u, v = np.rint(around).astype(np.intp).T
    inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    if np.count_nonzero(inside) < MIN_SAMPLES * len(inside):
        raise ScaleError('outside', f'most of the beam at pixel {_pair(pixel)} is out of view')
    u, v = u[inside], v[inside]
    z = depth[v, u].astype(np.float64)
    if np.count_nonzero(np.isfinite(z)) < MIN_SAMPLES * len(inside):
        raise ScaleError('no_depth', f'there is no depth (sky) at pixel {_pair(pixel)}')
    if np.nanmedian(z) >= SATURATED * max_depth:
        raise ScaleError('saturated', f'the beam ends where the depth does, at {max_depth:g} m')
    x, y = camera.ray_maps
    points = np.column_stack([x[v, u] * z, y[v, u] * z, z])
    points = points[np.isfinite(points).all(axis=1) & (z > 0.0)]

    along, squared = points @ o, (points * points).sum(axis=1)
    under = along**2 - squared * (o @ o - r * r)
    scales = (along + np.sqrt(np.maximum(under, 0.0))) / squared
    scales = scales[(under >= 0.0) & (scales > 0.0)]
    if len(scales) < MIN_SAMPLES * len(inside):
        raise ScaleError('no_agreement', f'no scale puts the depth {r:g} m from the sensor')
    low, scale, high = np.percentile(scales, (10, 50, 90))
    if high - low > MAX_SPREAD * scale:
        raise ScaleError('at_edges', f'the beam meets a depth edge at pixel {_pair(pixel)}')
    return Measurement(float(scale), 0.0, 1)


def _pair(pixel: npt.NDArray[np.float64]) -> str:
    return f'({pixel[0]:.0f}, {pixel[1]:.0f})'
