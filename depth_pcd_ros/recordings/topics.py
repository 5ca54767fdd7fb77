# SPDX-License-Identifier: Apache-2.0
"""Finds the topics of a recording that matter."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader

from depth_pcd_ros.recordings.reader import RecordingError, open_recording
from depth_pcd_ros.scale.messages import TOPICS as SCALE_TOPICS
from depth_pcd_ros.scale.messages import TYPES as SCALE_TYPES

RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


class Topics(NamedTuple):
    """The topics asked for; empty to be found by type."""

    image: str = ''
    camera_info: str = ''
    scale: str = ''


def find_image_topic(reader: AnyReader, asked: str = '') -> str:
    """The topic with the pictures: the one asked for, or the only one with colour or grey ones.

    A raw topic goes before the compressed one of the same camera, and topics without a message,
    which a recording has of cameras that were silent, are chosen only where there are no others.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    kinds = {c.topic: c.msgtype for c in reader.connections if c.msgtype in (RAW, COMPRESSED)}
    if asked:
        return _asked(asked, kinds, 'Image or CompressedImage')
    spoken = {c.topic for c in reader.connections if c.msgcount}
    pictures = [topic for topic in kinds if topic in spoken] or list(kinds)
    pictures = [topic for topic in pictures if not _is_depth(reader, topic)]
    found = [t for t in pictures if posixpath.dirname(t) not in pictures]
    return _only(found, 'an Image or CompressedImage topic', '--image-topic')


def find_camera_info_topic(reader: AnyReader, image_topic: str, asked: str = '') -> str:
    """The CameraInfo topic asked for, or camera_info beside the image topic, or the only one.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    topics = {c.topic: c.msgtype for c in reader.connections if c.msgtype == CAMERA_INFO}
    if asked:
        return _asked(asked, topics, 'CameraInfo')
    namespace = posixpath.dirname(image_topic)
    for above in (namespace, posixpath.dirname(namespace)):  # a compressed topic has one more name
        beside = posixpath.join(above, 'camera_info')
        if beside in topics:
            return beside
    return _only(list(topics), 'a CameraInfo topic', '--camera-info-topic')


def find_scale_topic(reader: AnyReader, source: str, asked: str = '') -> str:
    """The topic of a `scale_source`: the one asked for, or scale/... of the node, or the only one.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    kind = SCALE_TYPES[source]
    topics = [c.topic for c in reader.connections if c.msgtype == kind]
    name = kind.rpartition('/')[2]
    if asked:
        return _asked(asked, topics, name)
    own = f'/{SCALE_TOPICS[source]}'
    return own if own in topics else _only(sorted(set(topics)), f'a {name} topic', '--scale-topic')


def find_camera(path: Path) -> dict[str, str]:
    """The camera of a recording, as the node and its launch file name it.

    Returns:
        `image` and `camera_info`, the topics to remap to, and `image_transport`.

    Raises:
        RecordingError: it cannot be read, or the topics are not clear.
    """
    with open_recording(path) as reader:
        image = find_image_topic(reader)
        camera_info = find_camera_info_topic(reader, image)
        kinds = {c.msgtype for c in reader.connections if c.topic == image}
    if kinds == {RAW}:
        return {'image': image, 'camera_info': camera_info, 'image_transport': 'raw'}
    base, _, transport = image.rpartition('/')
    if transport != 'compressed':
        raise RecordingError(f'{image} has CompressedImage, but is not named .../compressed')
    return {'image': base, 'camera_info': camera_info, 'image_transport': 'compressed'}


def _is_depth(reader: AnyReader, topic: str) -> bool:
    """Whether the first picture of a topic is depth (REP 118) and no photo."""
    connections = [c for c in reader.connections if c.topic == topic]
    first = next(iter(reader.messages(connections)), None)
    if first is None:
        return False
    msg: Any = reader.deserialize(first[2], first[0].msgtype)
    if hasattr(msg, 'format'):
        return 'compressedDepth' in msg.format
    return msg.encoding in ('16UC1', '32FC1')


def _asked(topic: str, known: Collection[str], kind: str) -> str:
    if topic not in known:
        there = ', '.join(sorted(known)) or 'none'
        raise RecordingError(f'it has no {kind} topic {topic}; there is {there}')
    return topic


def _only(topics: list[str], what: str, option: str) -> str:
    if not topics:
        raise RecordingError(f'it lacks {what}')
    if len(topics) > 1:
        raise RecordingError(f'choose {what} with {option}: {", ".join(sorted(topics))}')
    return topics[0]
