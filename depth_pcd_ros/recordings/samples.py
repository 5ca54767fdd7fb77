# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recording with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.reader import Say, open_recording
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.topics import Topics, find_camera_info_topic, find_image_topic
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Header


def of_recording(
    path: Path, topics: Topics, settings: Settings, count: int, say: Say = lambda _: None
) -> Iterator[Picture]:
    """About `count` pictures, spread evenly over a recording.

    Args:
        path: the recording.
        topics: where its pictures and what belongs to them are.
        settings: the `scale_source` and how it is read.
        count: how many pictures.
        say: told what is left out, and why.

    Raises:
        RecordingError: it cannot be read, or a topic is missing or not the only one.
        FrameError: no picture can be read and has a calibration.
    """
    with open_recording(path, say) as reader:
        image_topic = find_image_topic(reader, topics.image)
        info_topic = find_camera_info_topic(reader, image_topic, topics.camera_info)
        calibrations = RecordedCalibrations(reader, info_topic, named=bool(topics.camera_info))
        scale = RecordedScale(reader, settings, topics)
        total = sum(c.msgcount for c in reader.connections if c.topic == image_topic)
        step = max(1, round(total / count))
        good, problem = 0, None
        for i, (time_ns, msg) in enumerate(reader.decoded(image_topic)):
            # what the motion tells needs every picture, the network only some of them
            if i % step and settings.scale_source != 'motion':
                continue
            try:
                rgb = rgb_from_msg(msg)
                calibration = calibrations.find(time_ns, msg.header, rgb.shape[1], rgb.shape[0])
            except FrameError as err:
                problem = err
                say(str(err))
                continue
            header = Header(stamp_ns(msg.header), msg.header.frame_id)
            yield Picture(rgb, calibration, header, scale.evidence(msg.header))
            good += 1
        for damage in reader.damage:
            say(damage)
        if problem is not None and not good:
            raise problem
