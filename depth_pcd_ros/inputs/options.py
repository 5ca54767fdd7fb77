# SPDX-License-Identifier: Apache-2.0
"""The options about the camera of files. Imports nothing that other sub-commands can do without."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from depth_pcd_ros.arguments import size

if TYPE_CHECKING:
    from depth_pcd_ros.inputs.intrinsics import Intrinsics

# The options, as argparse names them, but for those that are files.
NAMES = ('camera_name', 'fx', 'fy', 'cx', 'cy', 'size', 'hfov', 'f35', 'force_intrinsics')
MIN_HFOV, MAX_HFOV = 1.0, 168.0  # [deg]; the last is that of `calibration.MIN_FOCAL`


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    camera = parser.add_argument_group('intrinsics, one of these ways')
    camera.add_argument(
        '--camera-info',
        type=Path,
        metavar='FILE',
        help='a calibration as camera_calibration, Kalibr or OpenCV write it, or what ros2 topic '
        'echo --once prints of a camera_info topic',
    )
    camera.add_argument(
        '--camera-name', default='', metavar='NAME', help='of a --camera-info that has several'
    )
    for name in ('fx', 'fy', 'cx', 'cy'):
        camera.add_argument(f'--{name}', type=float, metavar='PX')
    camera.add_argument(
        '--size',
        type=size,
        metavar='WxH',
        help='of the pictures that --fx, --fy, --cx and --cy are for, or a --camera-info that does '
        'not say (default: that of the inputs)',
    )
    camera.add_argument(
        '--hfov',
        type=float,
        metavar='DEG',
        help='horizontal field of view of the upright pictures, for photos whose EXIF has none',
    )
    camera.add_argument(
        '--f35',
        type=float,
        metavar='MM',
        help='35 mm equivalent of the focal length, for photos whose EXIF has none, however the '
        'camera was held',
    )
    camera.add_argument(
        '--force-intrinsics', action='store_true', help='--hfov or --f35 go before EXIF'
    )


def intrinsics(args: argparse.Namespace, say: Callable[[str], None]) -> Intrinsics:
    """Return what the options say about the camera.

    Args:
        args: as argparse gives it.
        say: gets what a calibration file leaves open.

    Raises:
        IntrinsicsError: they contradict each other or are not complete, or as `read_camera_info`.
    """
    from depth_pcd_ros.geometry.calibration import pinhole  # only these commands need them
    from depth_pcd_ros.inputs.calibration_files import read_camera_info
    from depth_pcd_ros.inputs.intrinsics import (
        MAX_35MM,
        MIN_35MM,
        WAYS,
        Intrinsics,
        IntrinsicsError,
    )

    numbers = {name: getattr(args, name) for name in ('fx', 'fy', 'cx', 'cy')}
    missing = [f'--{name}' for name, number in numbers.items() if number is None]
    ranges = {'hfov': (MIN_HFOV, MAX_HFOV, 'deg'), 'f35': (MIN_35MM, MAX_35MM, 'mm')}
    lens = {name: getattr(args, name) for name in ranges if getattr(args, name) is not None}
    ways = [args.camera_info is not None, len(missing) < 4, *lens]
    if sum(map(bool, ways)) > 1:
        raise IntrinsicsError(f'intrinsics are given twice; expected one of: {WAYS}')
    if args.camera_name and args.camera_info is None:
        raise IntrinsicsError('--camera-name goes with --camera-info')
    if args.force_intrinsics and not lens:
        raise IntrinsicsError('--force-intrinsics goes with --hfov or --f35')
    of_pictures = args.size or (0, 0)
    if args.camera_info is not None:
        calibration = read_camera_info(args.camera_info, args.camera_name, say)
        origin = f'--camera-info {args.camera_info}'
        if args.size and calibration.width:
            raise IntrinsicsError(f'{origin} has a size of its own: leave out --size')
        if args.size:
            calibration = dataclasses.replace(calibration, width=args.size[0], height=args.size[1])
    elif not missing:
        calibration, origin = pinhole(**numbers, size=of_pictures), '--fx, --fy, --cx, --cy'
    elif len(missing) < 4:
        raise IntrinsicsError(
            f'--fx, --fy, --cx and --cy go together, {", ".join(missing)} is missing; where only '
            'the field of view is known, use --hfov'
        )
    elif args.size:
        raise IntrinsicsError('--size goes with --fx, --fy, --cx and --cy, or with --camera-info')
    else:
        for name, value in lens.items():
            least, most, unit = ranges[name]
            if not least <= value <= most:
                raise IntrinsicsError(
                    f'--{name} is {value:g}, expected {least:g} to {most:g} {unit}'
                )
        return Intrinsics(**lens, forced=args.force_intrinsics)
    return Intrinsics(calibration, origin)
