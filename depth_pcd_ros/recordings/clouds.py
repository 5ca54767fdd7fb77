# SPDX-License-Identifier: Apache-2.0
"""The clouds of a recording, to be shown."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.files.clouds import Cloud
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.recordings.reader import Recording, RecordingError
from depth_pcd_ros.recordings.topics import find_cloud_topic
from depth_pcd_ros.scale.messages import CloudError, xyz_of_cloud
from depth_pcd_ros.show.view import Shown


def recorded_clouds(recording: Recording, topic: str = '') -> list[Shown]:
    """List the clouds of a topic, by their stamps; each is read when it is shown.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    topic = find_cloud_topic(recording, topic)
    connections = [one for one in recording.connections if one.topic == topic]
    clouds: list[Shown] = []
    seen: Counter[int] = Counter()  # how many were recorded at this time
    first = None
    for _, time_ns, _ in recording.messages(connections):
        first = time_ns if first is None else first
        name = f'{topic}, {(time_ns - first) / 1e9:.3f} s'
        clouds.append(Shown(name, partial(_read, recording, topic, time_ns, seen[time_ns])))
        seen[time_ns] += 1
    if not clouds:
        raise RecordingError(f'{topic} has no message')
    return clouds


def _read(recording: Recording, topic: str, time_ns: int, before: int) -> Cloud:
    """Read the cloud of this time; `before`, how many of the same time come first."""
    found = recording.decoded(topic, start=time_ns)
    for _ in range(before):
        next(found)
    time_found, message = next(found, (0, None))
    if message is None or time_found != time_ns:
        raise RecordingError(f'the cloud of {time_ns} ns on {topic} cannot be read')
    try:
        return _cloud(message)
    except CloudError as err:
        raise RecordingError(f'{topic}, stamp {stamp_ns(message.header)} ns: {err}') from err


def _cloud(message: Any) -> Cloud:
    xyz = xyz_of_cloud(message)
    valid = np.isfinite(xyz).all(axis=1)
    if not valid.any():
        return xyz[valid], None
    colour = next((one for one in message.fields if one.name in ('rgb', 'rgba')), None)
    if colour is None:
        return xyz[valid], None
    data = np.frombuffer(message.data, np.uint8)
    try:
        packed: Any = np.ndarray(
            (message.height, message.width),
            '>f4' if message.is_bigendian else '<f4',
            data,
            colour.offset,
            (message.row_step, message.point_step),
        )
    except (TypeError, ValueError) as err:
        raise CloudError(f'field {colour.name} does not fit its points: {err}') from err
    return xyz[valid], unpack_rgb(packed.astype(np.float32).ravel())[valid]
