# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recording with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.reader import open_recording
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.topics import Topics, find_camera_info_topic, find_image_topic
from depth_pcd_ros.sync.readings import Header


def of_recording(path: Path, topics: Topics, source: str, count: int) -> Iterator[Picture]:
    """About `count` pictures, spread evenly over a recording.

    Raises:
        RecordingError: it cannot be read, or a topic is missing or not the only one.
        FrameError: a picture cannot be read or has no calibration.
    """
    with open_recording(path) as reader:
        image_topic = find_image_topic(reader, topics.image)
        info_topic = find_camera_info_topic(reader, image_topic, topics.camera_info)
        calibrations = RecordedCalibrations(reader, info_topic, named=bool(topics.camera_info))
        scale = RecordedScale(reader, source, topics.scale)
        connections = [c for c in reader.connections if c.topic == image_topic]
        step = max(1, round(sum(c.msgcount for c in connections) / count))
        for i, (connection, time_ns, raw) in enumerate(reader.messages(connections)):
            if i % step:
                continue
            msg: Any = reader.deserialize(raw, connection.msgtype)
            rgb = rgb_from_msg(msg)
            calibration = calibrations.find(time_ns, msg.header, rgb.shape[1], rgb.shape[0])
            header = Header(stamp_ns(msg.header), msg.header.frame_id)
            yield Picture(rgb, calibration, header, scale.evidence(msg.header))
