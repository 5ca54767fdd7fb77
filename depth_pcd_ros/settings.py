# SPDX-License-Identifier: Apache-2.0
"""Every setting, written once: its default, unit, bounds and description.

The ROS parameters, the command line and the README's table all read it from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


class SettingsError(ValueError):
    """A setting has a value that is not allowed; the message names both."""


@dataclasses.dataclass(frozen=True)
class Option:
    """What is known about one setting beside its default.

    Attributes:
        description: one sentence for a person.
        unit: unit of a number, '' for none.
        minimum, maximum: inclusive bounds of a number.
        choices: the allowed values of a text.
        live: it can be changed while the node runs.
    """

    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def allowed(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if self.minimum is not None:
            unit = f' {self.unit}' if self.unit else ''
            return f'from {self.minimum:g} to {self.maximum:g}{unit}'
        return 'any text'


def _option(default: Any, description: str, **known: Any) -> Any:
    return dataclasses.field(default=default, metadata={'option': Option(description, **known)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of the node and of the command line, checked when constructed.

    Raises:
        SettingsError: a value has the wrong type or is not allowed.
    """

    model: str = _option(
        'indoor-small',
        'indoor- or outdoor- with small, base or large; demo (bundled); or the path of an '
        'official .pth or of a .safetensors with the same keys',
    )
    max_depth: float = _option(
        0.0,
        "depth at which the network's output ends; 0: the model's own (indoor 20, outdoor 80), "
        'needed for a path that does not name its data set',
        unit='m',
        minimum=0.0,
        maximum=1000.0,
    )
    input_size: int = _option(
        0,
        "short side of the picture at the network, a multiple of 14; 0: the model's own "
        '(Depth Anything V2 518)',
        unit='px',
        minimum=0,
        maximum=2016,
    )
    device: str = _option('auto', 'auto, cpu, cuda or cuda:N; auto is CUDA where there is one')
    precision: str = _option(
        'auto',
        'number format of the network; auto is fp16 on CUDA and fp32 elsewhere',
        choices=('auto', 'fp32', 'fp16', 'bf16'),
    )
    image_transport: str = _option(
        'raw',
        'raw: Image on the topic image; compressed: CompressedImage on image/compressed',
        choices=('raw', 'compressed'),
    )
    rectified: bool = _option(
        False, 'the image is rectified: P of the CameraInfo is used, else K and D'
    )
    distortion: str = _option(
        'rays',
        'rays: each pixel has the ray of the undistorted lens; rectify: the image is rectified '
        'first; ignore: D is taken as zero',
        choices=('rays', 'rectify', 'ignore'),
    )
    frames: str = _option(
        'latest',
        'latest: the newest frame wins (live cameras); all: every frame, in order (recordings)',
        choices=('latest', 'all'),
    )
    depth_scale: float = _option(1.0, 'factor on the depth', minimum=0.01, maximum=100.0, live=True)
    focal_correction: bool = _option(
        False,
        'multiply the depth by the ratio of the focal length at the network to that of the '
        'training data (unproven)',
    )
    min_depth: float = _option(
        0.1, 'nearer points are invalid', unit='m', minimum=0.0, maximum=1000.0, live=True
    )
    max_range: float = _option(
        0.0,
        "points deeper than this are invalid; 0: the model's maximum",
        unit='m',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    edge_filter: float = _option(
        88.0,
        'points on surfaces steeper than this to the ray (flying pixels) are invalid; 0: off',
        unit='deg',
        minimum=0.0,
        maximum=89.9,
        live=True,
    )
    stride: int = _option(
        1,
        'every n-th pixel in both directions',
        unit='px',
        minimum=1,
        maximum=64,
        live=True,
    )
    voxel_size: float = _option(
        0.0,
        'above 0: an unorganized cloud with one point, the mean, for each voxel of this size',
        unit='m',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    cloud_fields: str = _option(
        'xyzrgb', 'fields of the cloud', choices=('xyzrgb', 'xyz'), live=True
    )
    organized: bool = _option(
        True, 'false: invalid points are left out and is_dense is true', live=True
    )
    depth_encoding: str = _option(
        '32FC1',
        'encoding of depth/image: 32FC1 in metres (NaN invalid) or 16UC1 in millimetres '
        '(0 invalid)',
        choices=('32FC1', '16UC1'),
        live=True,
    )
    autostart: bool = _option(True, 'configure and activate the lifecycle node by itself')

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            _check(name, getattr(self, name), option)
        if self.input_size % 14:
            raise SettingsError(
                f'input_size is {self.input_size} px, expected 0 or a multiple of 14'
            )
        if self.max_range and self.max_range <= self.min_depth:
            raise SettingsError(
                f'max_range is {self.max_range:g} m, expected 0 or more than min_depth, '
                f'{self.min_depth:g} m'
            )

    def replace(self, changes: Mapping[str, Any]) -> Settings:
        """Return settings with some values changed.

        Raises:
            SettingsError: an unknown name or a value that is not allowed.
        """
        for name in changes:
            if name not in OPTIONS:
                raise SettingsError(f'unknown setting {name!r}, expected one of {list(OPTIONS)}')
        return dataclasses.replace(self, **changes)


OPTIONS: dict[str, Option] = {
    field.name: field.metadata['option'] for field in dataclasses.fields(Settings)
}


def _check(name: str, value: Any, option: Option) -> None:
    default = getattr(Settings, name)
    # A bool is an int to Python, not to a person.
    if type(value) is not type(default):
        kind = type(default).__name__
        raise SettingsError(f'{name} is {value!r} ({type(value).__name__}), expected {kind}')
    if option.choices and value not in option.choices:
        raise SettingsError(f'{name} is {value!r}, expected {option.allowed()}')
    if option.minimum is None or option.maximum is None:
        return
    if not option.minimum <= value <= option.maximum:  # nor if it is NaN
        raise SettingsError(f'{name} is {value!r}, expected {option.allowed()}')
