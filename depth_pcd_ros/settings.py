# SPDX-License-Identifier: Apache-2.0
"""Every setting, written once: its default, unit, bounds and description.

The ROS parameters, the command line and the README's table all read it from here.
"""

from __future__ import annotations

import array
import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from depth_pcd_ros.option import Option, SettingsError, check, option, transform

__all__ = ['OPTIONS', 'EngineSettings', 'Option', 'Settings', 'SettingsError', 'of_cameras']

NORM_TOLERANCE = 1e-2  # of the length of a quaternion
CAMERA_NAME = re.compile('[A-Za-z][A-Za-z0-9_]*')  # also a part of topics and parameters

Transform = tuple[float, float, float, float, float, float, float]
Value = TypeVar('Value')


class _NonZero(Generic[Value]):
    """A setting as the code reads it: None in place of zero, for ROS has no value for none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, settings: Settings, owner: type[Settings]) -> Value | None:
        value: Value = getattr(settings, self._name)
        return value if (any(value) if isinstance(value, tuple) else value) else None


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of the node and of the command line, checked when constructed.

    Raises:
        SettingsError: a value has the wrong type or is not allowed.
    """

    model: str = option(
        'indoor-small',
        'indoor- or outdoor- with small, base or large; da3-large; demo (bundled); or the path of '
        'an official file or of a .safetensors with the same keys',
        shared=True,
    )
    max_depth: float = option(
        0.0,
        "depth at which the network's output ends; 0: the model's own (indoor 20, outdoor 80, da3 "
        'none), needed for a path of Depth Anything V2 that does not name its data set',
        unit='m',
        bounds=(0.0, 1000.0),
        shared=True,
    )
    input_size: int = option(
        0,
        'short side, a multiple of 14 (da3: long side, any) of the picture at the network; 0: the '
        "model's own (Depth Anything V2 518, da3 504)",
        unit='px',
        bounds=(0, 2016),
        shared=True,
    )
    device: str = option(
        'auto',
        'cuda, cuda:N, openvino (CPU), openvino:GPU, openvino:NPU, onnx, onnx:PROVIDER, cpu '
        '(torch), or auto: CUDA where there is one, else openvino, or cpu where that is not '
        'installed',
        shared=True,
    )
    precision: str = option(
        'auto',
        'number format of the network; auto is fp16 on GPUs and NPUs, bf16 in openvino on a CPU '
        'that has it, else fp32',
        choices=('auto', 'fp32', 'fp16', 'bf16'),
        shared=True,
    )
    cameras: tuple[str, ...] = option(
        (),
        'names of several cameras on the one model, each with topics of its own, front/image and '
        'so on, and with any parameter of its own, such as front.depth_scale; none: one camera',
        shared=True,
    )
    max_batch: int = option(
        0,
        'most pictures of equal size that enter the network at once, where they are there '
        'already; 0: 4 on GPUs, 1 elsewhere',
        bounds=(0, 64),
        shared=True,
    )
    image_transport: str = option(
        'raw',
        'raw: Image on the topic image; compressed: CompressedImage on image/compressed',
        choices=('raw', 'compressed'),
    )
    rectified: bool = option(
        False, 'the image is rectified: P of the CameraInfo is used, else K and D'
    )
    hfov: float = option(
        0.0,
        'above 0: horizontal field of view of a camera without a calibration, which then has '
        'square pixels and its principal point in the middle',
        unit='deg',
        bounds=(0.0, 168.0),
    )
    distortion: str = option(
        'rays',
        'rays: each pixel has the ray of the undistorted lens; rectify: the image is rectified '
        'first; ignore: D is taken as zero',
        choices=('rays', 'rectify', 'ignore'),
    )
    frames: str = option(
        'latest',
        'latest: the newest frame wins (live cameras); all: every frame, in order (recordings)',
        choices=('latest', 'all'),
    )
    depth_scale: float = option(1.0, 'factor on the depth', bounds=(0.01, 100.0), live=True)
    focal_correction: bool = option(
        False,
        'multiply the depth by the ratio of the focal length at the network to that of the '
        'training data (unproven; not for da3, which knows it)',
        shared=True,
    )
    scale_source: str = option(
        'none',
        'what corrects the scale: points: a cloud on scale/points; range: a Range on scale/range; '
        "plane: the camera's height above the floor; motion: how far the robot has moved, by its "
        'odometry',
        choices=('none', 'points', 'range', 'plane', 'motion'),
    )
    scale_fit: str = option(
        'scale',
        'what is fitted to the points: scale: a factor on the depth; scale_shift: a factor and '
        'a shift in metres',
        choices=('scale', 'scale_shift'),
        live=True,
    )
    scale_smoothing: float = option(
        0.1,
        'time constant of the exponential mean of the scale; 0: each frame for itself',
        unit='s',
        bounds=(0.0, 3600.0),
        live=True,
    )
    scale_step: float = option(
        0.05,
        'most that the scale changes from one frame to the next, as a share of it, and the shift, '
        'in metres',
        bounds=(0.0001, 1.0),
        live=True,
    )
    scale_bounds: tuple[float, float] = option(
        (0.5, 2.0),
        'lowest and highest scale that is believed; otherwise the last good one holds',
        bounds=(0.01, 100.0),
        live=True,
    )
    scale_timeout: float = option(
        0.5,
        'a reading that is older than the picture by more than this is not used',
        unit='s',
        bounds=(0.0, 3600.0),
        live=True,
    )
    scale_transform: Transform = transform(
        'optical_from_sensor, the place of the sensor in the optical frame'
    )
    range_direction: tuple[float, float, float] = option(
        (0.0, 0.0, 1.0),
        "direction of the range's beam in the optical frame, x y z; all zero: the x axis of the "
        'sensor, by scale_transform or tf2',
        bounds=(-1.0, 1.0),
        live=True,
    )
    camera_height: float = option(
        0.0,
        'height of the camera above the floor, for scale_source plane',
        unit='m',
        bounds=(0.0, 1000.0),
        live=True,
    )
    camera_pitch: float = option(
        0.0,
        'nominal pitch of the camera, positive where it looks down, for scale_source plane',
        unit='deg',
        bounds=(-90.0, 90.0),
        live=True,
    )
    camera_roll: float = option(
        0.0,
        'nominal roll of the camera, positive clockwise as it looks, for scale_source plane',
        unit='deg',
        bounds=(-180.0, 180.0),
        live=True,
    )
    motion: str = option(
        'auto',
        'what tells how the camera moves, for temporal_filter: odometry: an Odometry on the topic '
        'odometry; camera: the pictures; auto: the odometry where there is one, else the pictures',
        choices=('auto', 'odometry', 'camera'),
    )
    odometry_transform: Transform = transform(
        "optical_from_base, the place of the odometry's child frame in the optical frame"
    )
    temporal_filter: float = option(
        0.0,
        'most weight of what was seen before, where it agrees with what is seen now: 0.9 makes '
        'the depth steady; 0: off',
        bounds=(0.0, 0.99),
        live=True,
    )
    min_confidence: float = option(
        0.0,
        'points whose depth/confidence is lower are invalid; 0: off',
        bounds=(0.0, 100.0),
        live=True,
    )
    min_depth: float = option(
        0.1, 'nearer points are invalid', unit='m', bounds=(0.0, 1000.0), live=True
    )
    max_range: float = option(
        0.0,
        "points deeper than this are invalid; 0: the model's maximum",
        unit='m',
        bounds=(0.0, 1000.0),
        live=True,
    )
    edge_filter: float = option(
        88.0,
        'points on surfaces steeper than this to the ray (flying pixels) are invalid; 0: off',
        unit='deg',
        bounds=(0.0, 89.9),
        live=True,
    )
    resolution: str = option(
        'image',
        "size of depth and cloud: image: the image's; network: that of the network's output, or "
        "the image's where that is smaller",
        choices=('image', 'network'),
        live=True,
    )
    stride: int = option(
        1,
        'every n-th pixel in both directions',
        unit='px',
        bounds=(1, 64),
        live=True,
    )
    voxel_size: float = option(
        0.0,
        'above 0: an unorganized cloud with one point, the mean, for each voxel of this size',
        unit='m',
        bounds=(0.0, 10.0),
        live=True,
    )
    cloud_fields: str = option(
        'xyzrgb', 'fields of the cloud', choices=('xyzrgb', 'xyz'), live=True
    )
    organized: bool = option(
        True, 'false: invalid points are left out and is_dense is true', live=True
    )
    depth_encoding: str = option(
        '32FC1',
        'encoding of depth/image: 32FC1 in metres (NaN invalid) or 16UC1 in millimetres '
        '(0 invalid)',
        choices=('32FC1', '16UC1'),
        live=True,
    )
    merged_points: bool = option(
        False,
        'one more cloud on points, of the newest points of all cameras, in merged_frame',
        shared=True,
    )
    merged_frame: str = option(
        '', 'frame of the merged cloud: one that does not move against the cameras', shared=True
    )
    merged_timeout: float = option(
        0.2,
        'points whose stamp is older than the newest by more than this are not merged',
        unit='s',
        bounds=(0.0, 3600.0),
        shared=True,
        live=True,
    )
    frame_transform: Transform = transform(
        'merged_from_optical, the place of the camera in merged_frame'
    )
    autostart: bool = option(
        True, 'configure and activate the lifecycle node by itself', shared=True
    )

    range_limit = _NonZero[float]('max_range')  # [m]; None: as far as the model's depth goes
    edge_limit = _NonZero[float]('edge_filter')  # [deg]; None: no filter
    voxel = _NonZero[float]('voxel_size')  # [m]; None: each pixel is a point
    field_of_view = _NonZero[float]('hfov')  # [deg]; None: without a calibration, no cloud
    optical_from_sensor = _NonZero[Transform]('scale_transform')  # None: to be looked up
    optical_from_base = _NonZero[Transform]('odometry_transform')  # None: to be looked up
    merged_from_optical = _NonZero[Transform]('frame_transform')  # None: to be looked up
    # None: the x axis of the sensor
    beam_direction = _NonZero[tuple[float, float, float]]('range_direction')

    @property
    def needs_odometry(self) -> bool:
        """Return whether the topic `odometry` is of use."""
        steadied = self.temporal_filter > 0.0 or self.min_confidence > 0.0
        return (steadied and self.motion != 'camera') or self.scale_source == 'motion'

    @property
    def needs_motion(self) -> bool:
        """Return whether a picture depends on those before, so that none may be left out."""
        return (
            self.temporal_filter > 0.0 or self.min_confidence > 0.0 or self.scale_source != 'none'
        )

    def __post_init__(self) -> None:
        for name, known in OPTIONS.items():
            check(name, getattr(self, name), getattr(Settings, name), known)
        if self.range_limit is not None and self.range_limit <= self.min_depth:
            raise SettingsError(
                f'max_range is {self.max_range:g} m, expected 0 or more than min_depth, '
                f'{self.min_depth:g} m'
            )
        if self.field_of_view is not None and self.field_of_view < 1.0:
            raise SettingsError(f'hfov is {self.hfov:g} deg, expected 0 or 1 to 168')
        self._check_scale()
        self._check_cameras()

    def _check_cameras(self) -> None:
        for name in self.cameras:
            if not CAMERA_NAME.fullmatch(name):
                raise SettingsError(
                    f'cameras has {name!r}, expected letters, digits and _, a letter first'
                )
            if self.cameras.count(name) > 1:
                raise SettingsError(f'cameras has {name!r} {self.cameras.count(name)} times')
        if self.merged_points and not self.cameras:
            raise SettingsError('merged_points is true, expected cameras to merge the points of')
        if self.merged_points and not self.merged_frame:
            raise SettingsError("merged_frame is '', expected a frame with merged_points")

    def _check_scale(self) -> None:
        low, high = self.scale_bounds
        if low > high:
            raise SettingsError(
                f'scale_bounds are {list(self.scale_bounds)}, expected the lower one first'
            )
        for name in ('scale_transform', 'odometry_transform', 'frame_transform'):
            values = getattr(self, name)
            norm = math.hypot(*values[3:])
            if any(values) and not abs(norm - 1.0) <= NORM_TOLERANCE:
                raise SettingsError(
                    f'{name} is {list(values)}, expected a quaternion of length 1 at its end, '
                    f'not {norm:g}'
                )
        if self.scale_source == 'plane' and not self.camera_height:
            raise SettingsError('camera_height is 0.0, expected more with scale_source plane')

    def replace(self, changes: Mapping[str, Any]) -> Settings:
        """Return settings with some values changed; several numbers may be any sequence.

        Raises:
            SettingsError: an unknown name or a value that is not allowed.
        """
        for name in changes:
            if name not in OPTIONS:
                raise SettingsError(f'unknown setting {name!r}, expected one of {list(OPTIONS)}')
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, (list, array.array)) else value
            for name, value in changes.items()
        }
        return dataclasses.replace(self, **values)

    @property
    def engine(self) -> EngineSettings:
        """The settings that make an engine."""
        names = (field.name for field in dataclasses.fields(EngineSettings))
        return EngineSettings(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """The settings of an engine; each as in `Settings`."""

    model: str = Settings.model
    max_depth: float = Settings.max_depth
    input_size: int = Settings.input_size
    device: str = Settings.device
    precision: str = Settings.precision
    focal_correction: bool = Settings.focal_correction


OPTIONS: dict[str, Option] = {
    field.name: field.metadata['option'] for field in dataclasses.fields(Settings)
}


def of_cameras(values: Mapping[str, Any]) -> dict[str, Settings]:
    """Return the settings of each camera, by its name; of the only one by ''.

    Args:
        values: those that differ from the defaults: `depth_scale` is for all cameras,
            `front.depth_scale` for the camera front, which it wins for.

    Raises:
        SettingsError: a value is not allowed, or it is for a camera that is not in `cameras`, or
            for one camera and can only be for all.
    """
    common = {name: value for name, value in values.items() if '.' not in name}
    names = Settings().replace({'cameras': common.get('cameras', ())}).cameras
    own: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, value in values.items():
        camera, dot, option_name = name.rpartition('.')
        if not dot:
            continue
        if camera not in own:
            there = ', '.join(own) or 'no names'
            raise SettingsError(
                f'{name} is set, but there is no camera {camera!r}: cameras has {there}'
            )
        if option_name in OPTIONS and OPTIONS[option_name].shared:
            raise SettingsError(
                f'{name} is set, but all cameras share {option_name}, expected without {camera!r}'
            )
        own[camera][option_name] = value
    if not own:
        return {'': Settings().replace(common)}
    return {camera: _of_camera(camera, {**common, **own[camera]}) for camera in own}


def _of_camera(camera: str, values: Mapping[str, Any]) -> Settings:
    """Return the settings of one camera; errors have its name."""
    try:
        return Settings().replace(values)
    except SettingsError as err:
        name = str(err).partition(' ')[0]
        if name in OPTIONS and OPTIONS[name].shared:
            raise
        raise SettingsError(f'{camera}{"." if name in OPTIONS else ": "}{err}') from err
