# SPDX-License-Identifier: Apache-2.0
"""Show clouds on a browser page, to be turned by hand, for machines without RViz."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.files.clouds import READERS, Cloud, read_cloud
from depth_pcd_ros.files.order import by_number
from depth_pcd_ros.show.preview import UNCOLOURED

HOST = '127.0.0.1'  # the cloud is nobody else's business
# More points than this make a browser slow; then every n-th is shown.
MAX_POINTS = 1_500_000
FIELD_OF_VIEW = math.radians(50.0)  # vertical, as that of many cameras
# Angle between neighbouring pixels of a VGA camera [rad], and how many pixels it has. Points are as
# large as their distance at the cloud's middle, where they touch; what is nearer has gaps.
_PIXEL_ANGLE, _PIXELS = 1.0 / 525.0, 640 * 480
_MOST = 4.0  # times as large, at most: a few points are dots and no plates


class ViewError(DepthPcdError):
    """A cloud cannot be shown; the message says why."""


class Shown(NamedTuple):
    """A cloud that can be shown: its name, and the function that reads it."""

    name: str
    read: Callable[[], Cloud]


def clouds_of_files(path: Path) -> list[Shown]:
    """Find the cloud in a file, or those of all files below a folder, as they are numbered.

    Of files of one name that differ in their ending, which are one picture's, the first is taken.

    Raises:
        ViewError: there is none.
    """
    if not os.path.isdir(path):
        return [Shown(path.name, partial(read_cloud, path))]
    found: dict[Path, Path] = {}
    for ending in READERS:
        for file in sorted(path.rglob(f'*{ending}')):
            found.setdefault(file.with_suffix(''), file)
    if not found:
        raise ViewError(f'{path} has no cloud: expected {", ".join(READERS)}, or a recording')
    files = sorted(found.values(), key=by_number)
    return [Shown(str(file.relative_to(path)), partial(read_cloud, file)) for file in files]


def view(clouds: Sequence[Shown], label: str, port: int, shown: Callable[[str], None]) -> None:
    """Serve the page until interrupted; a slider goes from cloud to cloud.

    Args:
        clouds: at least one.
        label: title of the page.
        port: where to serve it; if it is taken, the next free one.
        shown: called with the address once the page is there.

    Raises:
        ViewError: no cloud can be read and has points, or viser is not installed.
    """
    begin, first = _first(clouds)
    try:
        import viser
    except ImportError as err:
        raise ViewError(
            f'the Python package viser is needed to show a cloud ({err}): pip install viser'
        ) from err

    server = viser.ViserServer(host=HOST, port=port, label=label, verbose=False)
    try:
        server.gui.configure_theme(
            control_layout='collapsible',
            control_width='small',
            dark_mode=True,
            show_logo=False,
            show_share_button=False,  # it would publish the cloud on a relay
        )
        server.scene.set_up_direction('-y')  # an optical frame: x right, y down, z forward
        distance = float(np.median(first[0][:, 2]))
        _put(server, first, distance)
        # a little behind the camera that took the picture
        server.initial_camera.position = (0.0, 0.0, -0.2 * distance)
        server.initial_camera.look_at = (0.0, 0.0, distance)
        server.initial_camera.fov = FIELD_OF_VIEW
        if len(clouds) > 1:
            _add_slider(server, clouds, begin, distance)
        shown(f'http://{HOST}:{server.get_port()}')
        threading.Event().wait()
    finally:
        server.stop()


def _first(clouds: Sequence[Shown]) -> tuple[int, Cloud]:
    """Read clouds until one has points; return its number, from 0, too."""
    reason = ''
    for number, cloud in enumerate(clouds):
        try:
            points = cloud.read()
        except (OSError, DepthPcdError) as err:
            reason = reason or str(err)
            continue
        if len(points[0]):
            return number, points
        reason = reason or f'{cloud.name} has no points'
    raise ViewError(reason)


def _add_slider(server: Any, clouds: Sequence[Shown], begin: int, distance: float) -> None:
    name = server.gui.add_markdown(clouds[begin].name)
    slider = server.gui.add_slider('cloud', 1, len(clouds), 1, begin + 1)
    lock = threading.Lock()  # a recording is read by one thread at a time

    def show(_: Any) -> None:
        with lock:
            chosen = clouds[int(slider.value) - 1]
            if name.content == chosen.name:  # it was moved on while this waited
                return
            try:
                cloud = chosen.read()
            except (OSError, DepthPcdError) as err:
                name.content = f'{chosen.name}: {err}'
                return
            _put(server, cloud, distance)
            name.content = chosen.name

    slider.on_update(show)


def _put(server: Any, cloud: Cloud, distance: float) -> None:
    """Show a cloud in place of the one before."""
    step = max(1, -(-len(cloud[0]) // MAX_POINTS))
    xyz = np.ascontiguousarray(cloud[0][::step])
    grey = np.full(xyz.shape, UNCOLOURED, np.uint8)
    server.scene.add_point_cloud(
        'cloud',
        xyz,
        grey if cloud[1] is None else np.ascontiguousarray(cloud[1][::step]),
        point_size=distance
        * _PIXEL_ANGLE
        * 1.5
        * min(math.sqrt(_PIXELS / max(len(xyz), 1)), _MOST),
        precision='float32',
        point_shading='flat',
    )
