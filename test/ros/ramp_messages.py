# SPDX-License-Identifier: Apache-2.0
"""Pictures for the fake engine whose depth is a ramp, and clouds of its true points."""

import numpy as np
from std_msgs.msg import Header

from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.ros.message_types import TYPES

from .conftest import FRAME_ID, make_image, make_info

WIDTH, HEIGHT = 64, 48
FX, FY, CX, CY = 55.0, 50.0, 30.5, 25.0
RAMP = np.linspace(2.0, 3.0, WIDTH)
TENTH = 10**8  # ns


def stamped(message, tenths, frame_id=FRAME_ID):
    """A message with a stamp in tenths of a second."""
    seconds, rest = divmod(tenths, 10)
    message.header = Header(frame_id=frame_id)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, rest * TENTH
    return message


def true_points(factor):
    """Points of the ramp times a factor, (N, 3) float32."""
    v, u = np.mgrid[4:HEIGHT:4, 4 : WIDTH - 4 : 4]
    z = factor * RAMP[u]
    points = np.stack([(u - CX) / FX * z, (v - CY) / FY * z, z], -1)
    return points.reshape(-1, 3).astype(np.float32)


def cloud(factor, tenths, frame_id=FRAME_ID):
    """The points as a message, in their own frame where that is not the camera's."""
    points = true_points(factor)
    if frame_id != FRAME_ID:
        x, y, z = points.T
        points = np.column_stack([z, -x, -y - 0.2])
    return stamped(cloud_message(TYPES, points, Header()), tenths, frame_id)


def picture(tenths):
    """An image and its CameraInfo."""
    image = stamped(make_image(WIDTH, HEIGHT), tenths)
    return image, make_info(WIDTH, HEIGHT, FX, FY, CX, CY)
