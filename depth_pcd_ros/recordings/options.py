# SPDX-License-Identifier: Apache-2.0
"""The options about the topics of recordings. Imports nothing that other commands do without."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depth_pcd_ros.recordings.topics import Topics


def add_options(parser: argparse.ArgumentParser, *, live: bool = False) -> argparse._ArgumentGroup:
    """Add the options, of topics that may be `live`, too; return their group."""
    group = parser.add_argument_group('topics, of the recording or live' if live else 'recordings')
    for name, where, live_name in (
        ('image', 'found by its type', 'image'),
        ('camera-info', 'the one beside it', 'camera_info'),
        ('scale', 'found by its type', 'scale/points, ...'),
        ('odometry', 'found by its type, else /tf', 'odometry'),
    ):
        told = f'default: {where}' + (f'; live: {live_name}' if live else '')
        group.add_argument(f'--{name}-topic', default='', help=told)
    return group


def topics(args: argparse.Namespace) -> Topics:
    """Return the topics that the options name."""
    from depth_pcd_ros.recordings.topics import Topics  # only these commands need them

    names = (args.image_topic, args.camera_info_topic, args.scale_topic, args.odometry_topic)
    return Topics(*names)
