# SPDX-License-Identifier: Apache-2.0
"""The description of a topic in a recording, common to all kinds of files."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Collection, Iterator
from typing import Any

from rosbags.rosbag2.metadata import parse_qos


@dataclasses.dataclass(frozen=True, eq=False)
class Connection:
    """A topic of a recording."""

    topic: str  # its name
    msgtype: str  # the type of its messages, such as sensor_msgs/msg/Image
    msgcount: int = 0  # how many messages it has, as far as that is known
    serialization: str = 'cdr'  # `cdr` in ROS 2, `ros1`; and whatever else is put into an mcap
    definition: str = ''  # the text of the type's definition; empty where it is not recorded
    digest: str = ''  # the type's hash, RIHS01 in ROS 2; empty where it is not recorded
    qos: tuple[Any, ...] = ()  # the quality of service that was offered, as rosbags has it


class Storage(abc.ABC):
    """A file of a recording.

    Attributes:
        connections: its topics, by their id in the file.
        damage: what was found to be damaged so far, for a person.
    """

    connections: dict[int, Connection]

    def __init__(self, name: str) -> None:
        self.name = name
        self.damage: list[str] = []

    def note(self, problem: str) -> None:
        """Note what is damaged, once."""
        told = f'{self.name} {problem}'
        if told not in self.damage:
            self.damage.append(told)

    @abc.abstractmethod
    def messages(self, ids: Collection[int], start: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield id, time [ns] and content of the messages of these topics, in order of time.

        They begin at the time `start` [ns]. What cannot be read is left out and noted in `damage`.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file."""


def qos_of(text: str) -> tuple[Any, ...]:
    """Read the quality of service as rosbag2 notes it; what is not understood is nothing."""
    try:
        return tuple(parse_qos(text))
    except Exception:  # whatever somebody has edited
        return ()


def is_latched(connection: Connection) -> bool:
    """Return whether the last message of a topic is for late joiners, as that of /tf_static."""
    return bool(connection.qos) and all(
        one.durability.name == 'TRANSIENT_LOCAL' for one in connection.qos
    )
