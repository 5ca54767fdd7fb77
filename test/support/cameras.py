# SPDX-License-Identifier: Apache-2.0
"""Cameras with each kind of lens, and what their CameraInfo would say."""

import dataclasses
import math

import cv2
import numpy as np

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera

WIDTH, HEIGHT = 640, 480
MILD = (-0.1, 0.02, 0.001, -0.0005, -0.003)
STRONG = (-0.35, 0.12, 0.001, -0.0005, -0.02)
FISHEYE = (0.02, -0.01, 0.003, -0.001)
RATIONAL = (0.5, -0.05, 0.0003, -0.0001, 0.003, 0.8, 0.02, 0.01)
PRISM = (*RATIONAL, 0.001, 0.002, -0.001, 0.001)
TILT = (*PRISM, 0.01, -0.02)
# Focal lengths such that wide lenses see 180 degrees over less than the image's diagonal.
CAMERAS = {
    'ideal': Camera(WIDTH, HEIGHT, 525.3, 527.1, 311.2, 246.8),
    'plumb_bob 4': Camera(WIDTH, HEIGHT, 420.0, 423.0, 311.2, 246.8, 'plumb_bob', MILD[:4]),
    'plumb_bob 5': Camera(WIDTH, HEIGHT, 420.0, 423.0, 311.2, 246.8, 'plumb_bob', MILD),
    'strong': Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'plumb_bob', STRONG),
    'pincushion': Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'plumb_bob', (0.3, 0.1, 0, 0)),
    'k1 alone': Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'plumb_bob', (-0.35, 0, 0, 0, 0)),
    'rational 8': Camera(
        WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'rational_polynomial', RATIONAL
    ),
    'rational 12': Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'rational_polynomial', PRISM),
    'rational 14': Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8, 'rational_polynomial', TILT),
    'equidistant': Camera(WIDTH, HEIGHT, 240.0, 241.0, 311.2, 246.8, 'equidistant', FISHEYE),
    'equidistant 180': Camera(
        WIDTH, HEIGHT, WIDTH / math.pi, WIDTH / math.pi, 319.5, 239.5, 'equidistant', (0.0,) * 4
    ),
}
# The rotation and P of the left of two cameras.
STEREO_R = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0]
STEREO_P = (380.0, 0.0, 330.0, -38.0, 0.0, 380.0, 235.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def calibration_of(camera: Camera, **changes) -> Calibration:
    """Return the calibration whose images have this camera."""
    calibration = Calibration(
        width=camera.width,
        height=camera.height,
        k=(camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0),
        distortion_model=camera.distortion_model,
        d=camera.d,
    )
    return dataclasses.replace(calibration, **changes)
