# SPDX-License-Identifier: Apache-2.0
"""The options of depth-pcd convert. Imports nothing that the other sub-commands can do without."""

from __future__ import annotations

import argparse
import re
from typing import Any

from depth_pcd_ros.arguments import add_settings, number, value_of
from depth_pcd_ros.inputs.options import add_options as add_camera_options
from depth_pcd_ros.recordings.options import add_options as add_topic_options
from depth_pcd_ros.settings import OPTIONS
from depth_pcd_ros.work.options import add_options as add_work_options

FORMATS = {
    'ply': 'binary PLY, valid points only',
    'pcd': 'binary PCD, organized',
    'depth': 'depth as 16-bit PNG in mm, 0 invalid',
    'npy': 'depth as float32 in m, NaN invalid',
    'npz': 'arrays xyz and rgb',
    'las': 'LAS, valid points only (needs the Python package laspy)',
    'preview': 'PNG of photo, inverse depth, and cloud from another viewpoint',
}
ALL = 'all'  # cameras
NAME = r'[A-Za-z]\w*(?:/[A-Za-z]\w*)*'  # of a camera: as ROS has it, parts of a topic
# The node's settings but for those about topics, or about several cameras at once.
NODE_ONLY = ('image_transport', 'frames', 'autostart', 'hfov', 'cameras', 'max_batch')
MERGED = ('merged_points', 'merged_frame', 'merged_timeout', 'frame_transform')
SETTINGS = tuple(name for name in OPTIONS if name not in NODE_ONLY + MERGED)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='photo, folder (with all below it), glob, .txt list, video, or recording '
        '(rosbag2 folder, .mcap, .db3, .bag); photos also at s3:// and gs://, and their results',
    )
    parser.add_argument('-o', '--out', required=True, help='folder for the results')
    parser.add_argument(
        '--write',
        type=_formats,
        metavar='FORMAT,...',
        help='; '.join(f'{name}: {what}' for name, what in FORMATS.items())
        + ' (default: ply; a recording becomes a recording, and these only if asked for)',
    )
    parser.add_argument(
        '--up',
        choices=('y', 'z'),
        default='',
        help='turn PLY, PCD and LAS so that this axis is up, as viewers (y) and GIS (z) have it '
        "(default: the camera's axes: x right, y down, z ahead)",
    )
    add_work_options(parser)
    _add_machine_options(parser)
    add_camera_options(parser)
    recording = add_topic_options(parser)
    recording.add_argument(
        '--cameras',
        type=_cameras,
        metavar='NAME,...',
        help='several cameras of each recording, by the namespaces of their image topics, or '
        f'{ALL}; their results are on /NAME/points and so on. {{camera}} in the topics above '
        'stands for the name',
    )
    recording.add_argument(
        '--set',
        action='append',
        type=_of_camera,
        default=[],
        metavar='NAME.PARAMETER=VALUE',
        help='a parameter of the node for one of --cameras, such as rear.rectified=true or '
        'front.scale_transform="[0, 0, 0.2, 0, 0, 0, 1]"; may be given again',
    )
    recording.add_argument('--copy', action='store_true', help="copy the recording's own messages")
    add_settings(parser.add_argument_group("the node's parameters"), SETTINGS)


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add what is about several machines."""
    parser.add_argument(
        '--shard',
        type=_shard,
        metavar='K/N',
        help='convert the k-th of n shares of the inputs, chosen by their names: n jobs with the '
        'same inputs and output folder convert them all, for Slurm and job arrays',
    )
    parser.add_argument(
        '--ray',
        nargs='?',
        const='',
        metavar='ADDRESS',
        help='convert on the Ray cluster at this address, or on one of this machine by itself '
        '(needs the Python package ray); last, for what follows it is taken as the address',
    )
    parser.add_argument(
        '--workers',
        type=number(int, 1),
        default=0,
        metavar='N',
        help='of --ray (default: one for each GPU, or for four CPUs)',
    )


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(',')]
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f'{", ".join(map(repr, unknown))}, expected some of {", ".join(FORMATS)}'
        )
    return list(dict.fromkeys(names))


def _cameras(text: str) -> list[str]:
    """Read names; an empty list for all."""
    names = [name.strip().strip('/') for name in text.strip('[]').split(',')]  # of a namespace
    for name in names:
        if not re.fullmatch(NAME, name, re.ASCII):
            raise argparse.ArgumentTypeError(
                f'{name!r}, expected names of cameras with commas, or {ALL}'
            )
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f'{text!r} names a camera twice')
    return [] if names == [ALL] else names


def _of_camera(text: str) -> tuple[str, str, Any]:
    """Read a camera, a parameter, and its value of the type that the parameter has."""
    whole, equals, value = text.partition('=')
    camera, _, name = whole.rpartition('.')
    if not (camera and equals and name in SETTINGS and not OPTIONS[name].shared):
        raise argparse.ArgumentTypeError(
            f'{text!r}, expected NAME.PARAMETER=VALUE with a parameter that a camera may have of '
            'its own'
        )
    return camera, name, value_of(name, value)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d{1,6})/(\d{1,6})', text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f'{text!r}, expected K/N with K from 1 to N')
    return int(match[1]), int(match[2])
