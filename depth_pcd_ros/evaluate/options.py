# SPDX-License-Identifier: Apache-2.0
"""The options of depth-pcd evaluate. Imports nothing that the other sub-commands can do without."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from depth_pcd_ros.arguments import add_settings, positive
from depth_pcd_ros.convert import options as convert
from depth_pcd_ros.inputs.options import add_options as add_camera_options
from depth_pcd_ros.recordings.options import add_options as add_topic_options
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.work.options import add_options as add_work_options

# The settings of convert without those of its output: every pixel is judged.
OUTPUT = ('stride', 'voxel_size', 'cloud_fields', 'organized', 'depth_encoding', 'resolution')
SETTINGS = tuple(name for name in convert.SETTINGS if name not in OUTPUT)
TOLERANCE = 0.05  # [s]


class Setting(NamedTuple):
    """One combination of what was asked for, and what tells it from the others."""

    name: str
    settings: Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='RECORDING|FOLDER',
        help='recording with a depth camera or LiDAR (rosbag2 folder, .mcap, .db3, .bag), or '
        'folder of photos with their depth (NYU, TUM, KITTI, or names that match)',
    )
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder for the report')
    add_work_options(parser)
    truth = parser.add_argument_group('truth')
    truth.add_argument(
        '--truth-topic', default='', help='depth images or PointCloud2 (default: found by its type)'
    )
    truth.add_argument(
        '--truth-camera-info',
        type=Path,
        metavar='YAML',
        help='calibration of a depth camera of its own, which has no CameraInfo beside its topic, '
        'or whose pictures are in a folder',
    )
    truth.add_argument(
        '--truth-scale',
        type=positive,
        metavar='M',
        help='metres of one unit of the truth (default: 0.001 in 16 bits, 1 in floats, or as the '
        'layout of a folder has it)',
    )
    truth.add_argument(
        '--truth-tolerance',
        type=positive,
        default=TOLERANCE,
        metavar='S',
        help=f'the farthest that truth and picture may be apart in time (default: {TOLERANCE})',
    )
    add_camera_options(parser)
    add_topic_options(parser)
    add_settings(
        parser.add_argument_group(
            "the node's parameters; of several values with commas, each is tried with each"
        ),
        SETTINGS,
        several=True,
    )


def combinations(args: argparse.Namespace) -> list[Setting]:
    """Combine the values given, each with each, in the order given.

    Raises:
        SettingsError: one is not allowed.
    """
    given: dict[str, list[Any]] = {}
    for name in SETTINGS:
        value = getattr(args, name)
        several = isinstance(value, list) and not isinstance(getattr(Settings, name), tuple)
        given[name] = value if several else [value]
    return named(
        [
            Settings().replace(dict(zip(given, values, strict=True)))
            for values in itertools.product(*given.values())
        ]
    )


def named(settings: Sequence[Settings]) -> list[Setting]:
    """Name each by the parameters in which they differ, or, without one, by its model."""
    varied = [name for name in SETTINGS if len({getattr(one, name) for one in settings}) > 1] or [
        'model'
    ]
    return [
        Setting(', '.join(_shown(name, getattr(one, name)) for name in varied), one)
        for one in settings
    ]


def _shown(name: str, value: Any) -> str:
    if name == 'model':
        return Path(value).name
    return f'{name} {value:g}' if isinstance(value, float) else f'{name} {value}'
