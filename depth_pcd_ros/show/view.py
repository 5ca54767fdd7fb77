# SPDX-License-Identifier: Apache-2.0
"""A browser page with a cloud to look at from all sides, for machines without RViz."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.files.ply import PlyError, read_ply
from depth_pcd_ros.show.preview import UNCOLOURED

HOST = '127.0.0.1'  # the cloud is nobody else's business
# More points than this make a browser slow; then every n-th is shown.
MAX_POINTS = 1_500_000
FIELD_OF_VIEW = math.radians(50.0)  # vertical, as that of many cameras
# Size of a point in the distance that neighbouring pixels of a VGA camera have at the cloud's
# middle: they touch, and what is nearer has gaps.
_PIXEL_ANGLE = 1.0 / 525.0


class ViewError(DepthPcdError):
    """A cloud cannot be shown; the message says why."""


def view(path: Path, port: int, shown: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    Args:
        path: a PLY of `depth-pcd convert`.
        port: where to serve it; if it is taken, the next free one.
        shown: told the address once the page is there.

    Raises:
        ViewError: no such file, no cloud in it, or viser is not installed.
    """
    try:
        xyz, rgb = read_ply(path)
    except (OSError, PlyError) as err:
        raise ViewError(str(err)) from err
    if not len(xyz):
        raise ViewError(f'{path} has no points')
    try:
        import viser
    except ImportError as err:
        raise ViewError(
            f'the Python package viser is needed to show a cloud ({err}): pip install viser'
        ) from err

    step = -(-len(xyz) // MAX_POINTS)
    server = viser.ViserServer(host=HOST, port=port, label=path.name, verbose=False)
    try:
        server.gui.configure_theme(
            control_layout='collapsible',
            control_width='small',
            dark_mode=True,
            show_logo=False,
            show_share_button=False,  # it would publish the cloud on a relay
        )
        server.scene.set_up_direction('-y')  # an optical frame: x right, y down, z forward
        middle = np.median(xyz, axis=0)
        server.scene.add_point_cloud(
            'cloud',
            xyz[::step],
            _grey(xyz[::step]) if rgb is None else rgb[::step],
            point_size=float(middle[2]) * _PIXEL_ANGLE * 1.5,
            precision='float32',
            point_shading='flat',
        )
        # a little behind the camera that took the picture
        server.initial_camera.position = (0.0, 0.0, -0.2 * float(middle[2]))
        server.initial_camera.look_at = (0.0, 0.0, float(middle[2]))
        server.initial_camera.fov = FIELD_OF_VIEW
        shown(f'http://{HOST}:{server.get_port()}')
        threading.Event().wait()
    finally:
        server.stop()


def _grey(xyz: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.full(xyz.shape, UNCOLOURED, np.uint8)
