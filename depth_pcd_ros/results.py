# SPDX-License-Identifier: Apache-2.0
"""The topics of a result, and how a frame becomes the message of each; rclpy's and rosbags'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.encode import (
    Types,
    camera_info_message,
    cloud_message,
    depth_image_message,
    image_message,
)
from depth_pcd_ros.scale.messages import scale_message
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.show.colorize import color_range, colorize


class Result(NamedTuple):
    """A frame, and what its messages need beside it."""

    frame: Frame  # what the pipeline has made of a picture
    header: Any  # that of the picture, of the classes in `types`
    settings: Settings  # those that hold for it
    # puts its points into a buffer, as `Pipeline.points`
    points: Callable[[Frame, Buffer | None], Points]
    types: Types  # the classes of the messages, by names such as sensor_msgs/msg/Image


class Output(NamedTuple):
    """An output topic: its type, and what makes its message, in a buffer where there is one."""

    type: str
    message: Callable[[Result, Buffer | None], Any]


def outputs(settings: Settings) -> dict[str, Output]:
    """Return what there is with these settings, by topic."""
    return {
        topic: output
        for topic, output in OUTPUTS.items()
        if topic != 'depth/scale' or settings.scale_source != 'none'
    }


def _points(result: Result, buffer: Buffer | None) -> Any:
    points = result.points(result.frame, buffer)
    return cloud_message(result.types, points, result.header, buffer)


def _depth(result: Result, buffer: Buffer | None) -> Any:
    depth, encoding = result.frame.depth, result.settings.depth_encoding
    return depth_image_message(result.types, depth, encoding, result.header, buffer)


def _camera_info(result: Result, _: Buffer | None) -> Any:
    return camera_info_message(result.types, result.frame.calibration, result.header)


def _color(result: Result, buffer: Buffer | None) -> Any:
    near, far = color_range(result.settings.min_depth, result.frame.max_range)
    bgr = colorize(result.frame.depth, near, far, buffer, result.frame.sky)
    return image_message(result.types, bgr, 'bgr8', result.header, buffer)


def _confidence(result: Result, buffer: Buffer | None) -> Any:
    confidence = result.frame.confidence
    assert confidence is not None  # whoever wants the topic asks the pipeline for it
    return depth_image_message(result.types, confidence, '32FC1', result.header, buffer)


def _scale(result: Result, _: Buffer | None) -> Any:
    assert result.frame.scale is not None  # the topic is there only with a scale_source
    return scale_message(result.types, result.frame.scale, result.header)


OUTPUTS = {
    'points': Output('sensor_msgs/msg/PointCloud2', _points),
    'depth/image': Output('sensor_msgs/msg/Image', _depth),
    'depth/camera_info': Output('sensor_msgs/msg/CameraInfo', _camera_info),
    'depth/color': Output('sensor_msgs/msg/Image', _color),
    'depth/confidence': Output('sensor_msgs/msg/Image', _confidence),
    'depth/scale': Output('std_msgs/msg/Float64MultiArray', _scale),
}
