# SPDX-License-Identifier: Apache-2.0
"""A network whose depth is a ramp, and a lidar that sees the same ramp, nearer or farther."""

import numpy as np

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.messages.decode import calibration_from_msg
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.recordings.store import TYPES

from .converting import HEIGHT, WIDTH
from .recordings import header, info

RAMP = np.linspace(2.0, 3.0, WIDTH)


def true_points(factor):
    """Points on the ramp times a factor, by the lens's own rays, (N, 3)."""
    rays = Camera.from_calibration(calibration_from_msg(info(0))).rays[4:-4:4, 4:-4:4]
    z = factor * np.broadcast_to(RAMP, (HEIGHT, WIDTH))[4:-4:4, 4:-4:4]
    return np.dstack([rays * z[..., None], z]).reshape(-1, 3).astype(np.float32)


def lidar(i, factor, frame_id='camera'):
    """A cloud; in frame `lidar`, its x is ahead, y left, z up."""
    points = true_points(factor)
    if frame_id == 'lidar':
        x, y, z = points.T
        points = np.column_stack([z, -x, -y - np.float32(0.2)]).astype(np.float32)
    return cloud_message(TYPES, points, header(i, frame_id))
