# SPDX-License-Identifier: Apache-2.0
"""The options that all work has. Imports nothing that the other sub-commands can do without."""

from __future__ import annotations

import argparse
import math

from depth_pcd_ros.arguments import number


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is about going on with earlier runs, about batches, and about parts of inputs."""
    parser.add_argument('--force', action='store_true', help='overwrite what is there')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='leave out what is there; with --force, make again what had other options',
    )
    parser.add_argument(
        '--batch',
        type=number(int, 0, 999),
        default=0,
        metavar='N',
        help='pictures of one size that the network runs on at once (default: 0, as many as the '
        'device gains from: 4 on CUDA, 1 elsewhere)',
    )
    part = parser.add_argument_group('a part of videos and recordings')
    every, seconds = number(int, 1), number(float, 0)
    part.add_argument(
        '--every', type=every, default=1, metavar='N', help='only every n-th picture (default: 1)'
    )
    part.add_argument(
        '--start',
        type=seconds,
        default=0.0,
        metavar='SECONDS',
        help='only pictures from this time on, counted from the first one',
    )
    part.add_argument(
        '--end', type=seconds, default=math.inf, metavar='SECONDS', help='only pictures up to this'
    )
