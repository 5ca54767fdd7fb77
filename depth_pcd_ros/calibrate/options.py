# SPDX-License-Identifier: Apache-2.0
"""The options of depth-pcd calibrate-scale; imports nothing that other sub-commands do without."""

from __future__ import annotations

import argparse

from depth_pcd_ros.arguments import add_settings, number
from depth_pcd_ros.inputs.options import add_options as add_camera_options
from depth_pcd_ros.recordings.options import add_options as add_topic_options

# The node's settings of the raw depth and of its scale.
SETTINGS = (
    'model', 'max_depth', 'input_size', 'device', 'precision', 'image_transport', 'rectified',
    'distortion', 'focal_correction', 'scale_source', 'scale_timeout', 'scale_transform',
    'range_direction', 'odometry_transform', 'camera_height', 'camera_pitch', 'camera_roll',
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='INPUT',
        help='recording (rosbag2 folder, .mcap, .db3, .bag), photo, folder or video; without one, '
        'live topics are used (with ROS)',
    )
    known = parser.add_argument_group('what is known, this or --scale-source')
    known.add_argument(
        '--distance',
        type=float,
        metavar='M',
        help='measured in a straight line from the lens to what the pixels show; the camera must '
        'stand still',
    )
    known.add_argument(
        '--at', type=float, nargs=2, metavar=('U', 'V'), help='pixel (default: the middle)'
    )
    known.add_argument(
        '--box',
        type=float,
        default=0.0,
        metavar='PX',
        help='width of the circle of pixels whose median counts (default and least: 1/40 of the '
        "picture's height)",
    )
    parser.add_argument(
        '--frames',
        type=int,
        default=50,
        metavar='N',
        help='pictures to measure on, spread over the inputs (default: 50)',
    )
    parser.add_argument(
        '--wait',
        type=number(float, 0),
        default=30.0,
        metavar='SECONDS',
        help='how long to wait for live pictures (default: 30)',
    )
    add_camera_options(parser)
    add_topic_options(parser, live=True)
    add_settings(parser.add_argument_group("the node's parameters"), SETTINGS)
