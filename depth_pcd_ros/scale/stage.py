# SPDX-License-Identifier: Apache-2.0
"""The stage of the pipeline: measure, smooth, apply."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale import beam, plane, points
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.scale.moving import MovingPoints, MovingScale
from depth_pcd_ros.scale.tracker import ScaleState, Tracker
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import (
    JUMP_BACK,
    NO_HEADER,
    BrokenReading,
    Evidence,
    Header,
    PointsReading,
    Reading,
)

SENSOR_AXIS = (1.0, 0.0, 0.0)  # along which a Range is measured, by its definition


class ScaleStage:
    """Corrects the depth of one frame after another."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._moving = MovingScale()
        self._last = NO_HEADER

    def correct(
        self,
        depth: npt.NDArray[np.float32],
        camera: Camera,
        *,
        header: Header,
        evidence: Evidence,
        settings: Settings,
        max_depth: float,
        triangulate: Callable[[npt.NDArray[np.float32]], MovingPoints] | None = None,
    ) -> ScaleState | None:
        """Correct the depth in place.

        Args:
            depth: depth along z [m], (H, W) float32, of the network: not filtered.
            camera: the model of these pixels.
            header: of the picture.
            evidence: what the sensor says about it.
            settings: which source, and how.
            max_depth: depth at which the network's output ends [m].
            triangulate: measures points of this depth by the camera's motion, or raises
                `ScaleError`; for the source `motion`.

        Returns:
            What was done; None without a `scale_source`.
        """
        if settings.scale_source == 'none':
            return None
        jump_back = (self._last.stamp_ns - header.stamp_ns) * 1e-9
        if header.sequence != self._last.sequence or jump_back > JUMP_BACK:
            self._tracker, self._moving = Tracker(), MovingScale()
        self._last = header
        measured: Measurement | ScaleError
        try:
            if settings.scale_source == 'motion' and triangulate is not None:
                measured = self._moving.measure(
                    depth,
                    camera,
                    triangulate(depth),
                    stamp_ns=header.stamp_ns,
                    kind=settings.scale_fit,
                    max_depth=max_depth,
                )
            else:
                measured = measure(
                    depth,
                    camera,
                    header=header,
                    evidence=evidence,
                    settings=settings,
                    max_depth=max_depth,
                )
        except ScaleError as err:
            measured = err
        state = self._tracker.update(header.stamp_ns, measured, settings)
        if state.scale != 1.0:
            depth *= np.float32(state.scale)
        if state.shift:
            depth += np.float32(state.shift)
        return dataclasses.replace(state, age=_age(header, evidence.reading))


def measure(
    depth: npt.NDArray[np.float32],
    camera: Camera,
    *,
    header: Header,
    evidence: Evidence,
    settings: Settings,
    max_depth: float,
) -> Measurement:
    """Measure one frame with the source that the settings name; arguments as in `correct`.

    Raises:
        ScaleError: there is nothing to measure with, or it does not fit.
    """
    if settings.scale_source == 'plane':
        height, pitch, roll = settings.camera_height, settings.camera_pitch, settings.camera_roll
        return plane.measure(depth, camera, height, pitch, roll)
    reading = evidence.reading
    if reading is None:
        raise ScaleError(
            'silent',
            f'scale/{settings.scale_source} has sent nothing from before the picture was taken',
        )
    age = _age(header, reading)
    if age > settings.scale_timeout:
        raise ScaleError(
            'stale',
            f'the newest of the {settings.scale_source} source is {age:.3g} s older than the '
            f'picture, scale_timeout is {settings.scale_timeout:g} s',
        )
    if isinstance(reading, BrokenReading):
        raise ScaleError('broken', reading.problem)
    if isinstance(reading, PointsReading):
        xyz = reading.xyz
        if reading.frame_id != header.frame_id:
            xyz = transform.apply(_optical_from_sensor(header, evidence, settings), xyz)
        return points.measure(depth, camera, xyz, settings.scale_fit, max_depth)
    return beam.measure(depth, camera, reading, _beam(header, evidence, settings), max_depth)


def _beam(
    header: Header, evidence: Evidence, settings: Settings
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Origin and direction of the beam in the optical frame."""
    if settings.beam_direction is None:
        rotation, translation = transform.split(_optical_from_sensor(header, evidence, settings))
        return tuple(translation), tuple(rotation @ SENSOR_AXIS)
    return settings.scale_transform[:3], settings.beam_direction


def _optical_from_sensor(
    header: Header, evidence: Evidence, settings: Settings
) -> tuple[float, ...]:
    if settings.optical_from_sensor is not None:
        return settings.optical_from_sensor
    if evidence.optical_from_sensor is None:
        sensor = evidence.reading.frame_id if evidence.reading else ''
        raise ScaleError(
            'no_transform',
            f'the sensor is in frame {sensor!r}, the picture in {header.frame_id!r}: '
            'scale_transform is not set, and tf2 does not know',
        )
    return evidence.optical_from_sensor


def _age(header: Header, reading: Reading | None) -> float:
    if reading is None:
        return math.nan
    return (header.stamp_ns - reading.stamp_ns) * 1e-9
