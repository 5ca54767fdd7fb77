# SPDX-License-Identifier: Apache-2.0
"""Write clouds and depths as a rosbag2 recording."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.recordings.connection import Connection
from depth_pcd_ros.recordings.reader import Recording, RecordingError
from depth_pcd_ros.recordings.store import STORE, TYPES, header_of
from depth_pcd_ros.results import Result, outputs
from depth_pcd_ros.settings import Settings

PICTURES = ('depth/color', 'depth/confidence')  # for people: whoever wants them makes them
# Humble cannot read version 9, whose QoS profiles are no strings (ros2/rosbag2, issue 2013).
_VERSION = 8


class RecordingWriter:
    """Writes one recording, mcap with zstd, which has its name only when it is finished.

    Args:
        folder: the recording, which is replaced if it is there.
        settings: those that hold for its frames, by the name of the camera, below which its topics
            are; '' where there is just one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Settings]) -> None:
        self._folder = folder
        self._settings = settings
        self._half = folder.with_name(folder.name + '.part')
        self._failed = False
        self._clouds = 0
        shutil.rmtree(self._half, ignore_errors=True)
        self._half.mkdir(parents=True)
        # below it, because the folder's name becomes part of the metadata
        self._writer = Writer(
            self._half / folder.name, version=_VERSION, storage_plugin=StoragePlugin.MCAP
        )
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._copied: dict[tuple[str, str], Any] = {}
        self._made = {
            camera: {
                topic: (output, self._writer.add_connection(topic, output.type, typestore=STORE))
                for name, output in outputs(one).items()
                if name not in PICTURES
                for topic in [f'/{camera}/{name}' if camera else f'/{name}']
            }
            for camera, one in settings.items()
        }

    def copy_topics(self, recording: Recording) -> list[str]:
        """Prepare to `copy` the messages of a recording.

        Returns:
            The topics that cannot be copied, because the recording does not have their types.

        Raises:
            RecordingError: it is a ROS 1 recording, or has a topic of a name that is made here.
        """
        if not recording.is2:
            raise RecordingError(
                'the messages of a ROS 1 recording are not copied: use rosbags-convert first'
            )
        left_out = []
        for connection in recording.connections:
            topic, kind = connection.topic, connection.msgtype
            if any(topic in made for made in self._made.values()):
                raise RecordingError(f'it has {topic} already: convert it without copying')
            if (topic, kind) in self._copied:
                continue
            try:
                definition, digest = recording.definition(connection)
            except RecordingError:
                left_out.append(topic)
                continue
            self._copied[topic, kind] = self._writer.add_connection(
                topic,
                kind,
                msgdef=definition,
                rihs01=digest,
                offered_qos_profiles=connection.qos,
            )
        return left_out

    def copy(self, connection: Connection, time_ns: int, raw: bytes) -> None:
        """Write a message of the recording given to `copy_topics` as it is."""
        copied = self._copied.get((connection.topic, connection.msgtype))
        if copied is not None:
            self._write(copied, time_ns, raw)

    def write(
        self, time_ns: int, header: Any, frame: Frame, points: Points, camera: str = ''
    ) -> None:
        """Write what the node publishes for a picture, with its header, at its time [ns]."""
        settings = self._settings[camera]
        result = Result(frame, header_of(header), settings, lambda *_: points, TYPES)
        for output, connection in self._made[camera].values():
            message = output.message(result, None)
            self._write(connection, time_ns, STORE.serialize_cdr(message, output.type))
        self._clouds += 1

    def write_again(self, topic: str, time_ns: int, raw: bytes) -> None:
        """Write a message that another writer, of one camera, has written on this topic."""
        self._write(self._made[''][topic][1], time_ns, raw)
        self._clouds += 1

    def close(self, *, may_be_empty: bool = False) -> None:
        """Write what is left.

        Raises:
            RecordingError: it has no cloud, or could not be written.
        """
        if self._failed:
            raise RecordingError('the recording was not written as a whole')
        if not (self._clouds or may_be_empty):
            raise RecordingError('no picture of it gave a cloud')
        self._writer.close()

    def rename(self) -> None:
        """Give the recording, which is closed, its name."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        os.replace(self._half / self._folder.name, self._folder)
        self._half.rmdir()

    def abort(self) -> None:
        """Remove what is not finished."""
        with contextlib.suppress(OSError):  # a full disk takes no buffered data, either
            self._writer.abort()
        shutil.rmtree(self._half, ignore_errors=True)

    def _write(self, connection: Any, time_ns: int, data: bytes | memoryview) -> None:
        try:
            self._writer.write(connection, time_ns, data)
        except BaseException:
            self._failed = True
            raise
