# SPDX-License-Identifier: Apache-2.0
"""Opens recordings of any kind, and reads what can be read of them."""

from __future__ import annotations

import dataclasses
import heapq
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing
from pathlib import Path, PurePath
from typing import Any

import yaml
from rosbags.rosbag1 import Reader as BagReader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.inputs.recording_files import METADATA, PACKED, parts_in
from depth_pcd_ros.recordings import compression
from depth_pcd_ros.recordings.connection import Connection, Storage
from depth_pcd_ros.recordings.db3 import Db3File
from depth_pcd_ros.recordings.mcap import McapFile
from depth_pcd_ros.recordings.store import STORE

STORAGES: dict[str, Callable[[Path], Storage]] = {'.mcap': McapFile, '.db3': Db3File}
_IDL_PART = '=' * 80 + '\n'

Say = Callable[[str], None]


class RecordingError(DepthPcdError):
    """A recording cannot be used as asked; the message says why."""


class Recording:
    """A recording that is open: its topics, and their messages in order of time.

    What is wrong with one topic concerns that topic alone, and what is damaged is left out.

    Args:
        path: a file, or a folder with metadata.yaml or the files of one recording.
        say: gets what is left out, and why.

    Attributes:
        connections: the topics whose messages can be read.
        unreadable: the others, each with why.
        damage: what was found to be damaged so far, for a person.
        is2: whether it is of ROS 2.

    Raises:
        RecordingError: it cannot be read.
    """

    def __init__(self, path: Path, say: Say = lambda _: None) -> None:
        self.path = path
        self.is2 = path.suffix.lower() != '.bag'
        self._stack = ExitStack()
        self._stores: dict[str, Any] = {}
        self._files: list[Storage] = []
        self._missing: list[str] = []
        self._broken: list[str] = []
        self._noted: set[tuple[str, str]] = set()  # topics and types in metadata.yaml
        try:
            self._open(say)
        except BaseException:
            self.close()
            raise

    @property
    def damage(self) -> list[str]:
        """The damage found so far."""
        of_files = [problem for file in self._files for problem in file.damage]
        return [*self._missing, *of_files, *self._broken]

    def messages(
        self, connections: Collection[Connection] | None = None, *, start: int = 0
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield topic, time [ns] and content of the messages of these topics, or of all.

        They are in order of time, and begin at the time `start` [ns].
        """
        wanted = {id(one) for one in self.connections if connections is None or one in connections}

        def of_file(file: Storage) -> Iterator[tuple[Connection, int, bytes]]:
            ids = {
                key: self._by_type[one.topic, one.msgtype]
                for key, one in file.connections.items()
                if id(self._by_type.get((one.topic, one.msgtype))) in wanted
            }
            if ids:
                for key, time_ns, raw in file.messages(ids, start):
                    try:
                        content = compression.message(raw) if self.is2 else raw
                    except Exception as err:  # of whichever package decompresses
                        self._note(f'{ids[key].topic}: a message cannot be decompressed: {err}')
                        continue
                    yield ids[key], time_ns, content

        return heapq.merge(*map(of_file, self._files), key=lambda found: found[1])

    def count(self, topic: str) -> int:
        """Return how many messages a topic has, as far as that is known."""
        return sum(one.msgcount for one in self.connections if one.topic == topic)

    def deserialize(self, raw: bytes, msgtype: str) -> Any:
        """Decode a message.

        Raises:
            RecordingError: its type is not known, or the bytes are none of it.
        """
        if msgtype not in self._stores:
            self._stores[msgtype] = self._store(msgtype)
        store = self._stores[msgtype]
        try:
            if self.is2:
                return store.deserialize_cdr(raw, msgtype)
            return store.deserialize_ros1(raw, msgtype)
        except Exception as err:  # damage leads to whatever it leads to
            raise RecordingError(f'a message is no {msgtype}: {err or type(err).__name__}') from err

    def decoded(self, topic: str, *, start: int = 0) -> Iterator[tuple[int, Any]]:
        """Yield time [ns] and message of what a topic has; what is no message is left out."""
        connections = [one for one in self.connections if one.topic == topic]
        for connection, time_ns, raw in self.messages(connections, start=start):
            try:
                yield time_ns, self.deserialize(raw, connection.msgtype)
            except RecordingError as err:
                self._note(f'{topic}: {err}')

    def definition(self, connection: Connection) -> tuple[str, str]:
        """Return the definition of a topic's type and its hash, as recorded or as they are known.

        Raises:
            RecordingError: neither is.
        """
        text, digest = connection.definition, connection.digest
        if not text or not digest:
            store = self._store(connection.msgtype)
            text = text or store.generate_msgdef(connection.msgtype, ros_version=2)[0]
            digest = digest or store.hash_rihs01(connection.msgtype)
        return text, digest

    def close(self) -> None:
        """Close it."""
        self._stack.close()

    def _note(self, problem: str) -> None:
        if problem not in self._broken:
            self._broken.append(problem)

    def _open(self, say: Say) -> None:
        for path in self._storage_files(say):
            try:
                file = self._opened(path)
            except (OSError, ValueError) as err:
                reason = f'{path.name} cannot be read: {err}'
                if path == self.path:
                    raise RecordingError(f'it cannot be read as a recording: {err}') from err
                self._missing.append(reason)
                continue
            self._stack.callback(file.close)
            self._files.append(file)
        if not self._files:
            raise RecordingError('; '.join(self._missing) or 'it has no file of a recording')
        self._by_type: dict[tuple[str, str], Connection] = {}
        self.unreadable: dict[str, str] = {}
        serialization = 'cdr' if self.is2 else 'ros1'
        for one in (one for file in self._files for one in file.connections.values()):
            if one.serialization != serialization:
                what = f'{one.msgtype} in {one.serialization}'
                if one.serialization == 'ros1':
                    what = f'{one.msgtype} of ROS 1'
                self.unreadable[one.topic] = f'{what}, expected {serialization}'
                continue
            key = one.topic, one.msgtype
            before = self._by_type.get(key)
            self._by_type[key] = (
                dataclasses.replace(before, msgcount=before.msgcount + one.msgcount)
                if before
                else one
            )
        self.connections = self._one_of_each_topic(say)
        self._compare(say)
        for topic, reason in self.unreadable.items():
            say(f'{topic} is left out: it is {reason}')

    def _one_of_each_topic(self, say: Say) -> list[Connection]:
        """Return the topics; of one that has several types, the type of most messages."""
        most: dict[str, Connection] = {}
        for one in sorted(self._by_type.values(), key=lambda one: one.msgcount):
            if (less := most.get(one.topic)) is not None:
                say(
                    f'{one.topic} has {less.msgcount} {less.msgtype} and {one.msgcount} '
                    f'{one.msgtype}: the first are left out'
                )
            most[one.topic] = one
        return [one for one in self._by_type.values() if most[one.topic] is one]

    def _compare(self, say: Say) -> None:
        """Say in which topics metadata.yaml differs from the files."""
        found = {
            (one.topic, one.msgtype) for file in self._files for one in file.connections.values()
        }
        if self._noted and not self._missing and self._noted != found:
            names = [
                ', '.join(sorted(f'{topic} ({kind})' for topic, kind in those)) or 'no others'
                for those in (self._noted - found, found - self._noted)
            ]
            say(f'{METADATA} has {names[0]}, the files have {names[1]}: the files are right')

    def _opened(self, path: Path) -> Storage:
        if path.suffix.lower() == PACKED:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            unpacked = Path(folder, path.stem)
            with compression.open_zstd(path) as packed, unpacked.open('wb') as file:
                try:
                    shutil.copyfileobj(packed, file)
                except Exception as err:  # of whichever package decompresses
                    self._note(f'{path.name} is damaged or cut off: {err}')
            if not unpacked.stat().st_size:
                raise ValueError(self._broken[-1] if self._broken else 'it is empty')
            path = unpacked
        if not self.is2:
            return _Bag(path)
        if path.name.lower().endswith('.bag.active'):
            raise ValueError('it was not closed: rosbag reindex, and a name that ends with .bag')
        if path.suffix.lower() not in STORAGES:
            raise ValueError(f'expected {", ".join((*STORAGES, ".bag"))}')
        return STORAGES[path.suffix.lower()](path)

    def _storage_files(self, say: Say) -> list[Path]:
        """Return the files with messages; metadata.yaml, where it is there, says which."""
        if not self.path.exists():
            raise RecordingError('no such file')
        if not self.path.is_dir():
            return [self.path]
        there = parts_in(self.path)
        metadata = self.path / METADATA
        if not metadata.exists():
            return there
        try:
            content = yaml.safe_load(metadata.read_text('utf-8'))['rosbag2_bagfile_information']
            names = [PurePath(name).name for name in content['relative_file_paths']]
            topics = [topic['topic_metadata'] for topic in content['topics_with_message_count']]
            self._noted = {(topic['name'], topic['type']) for topic in topics}
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as err:
            say(f'{metadata} cannot be read ({err}): all files beside it are taken')
            return there
        listed = [self.path / name for name in names]
        self._missing = [f'{file.name} is missing' for file in listed if not file.exists()]
        return [file for file in listed if file.exists()] or there

    def _store(self, msgtype: str) -> Any:
        """Return the types that a type needs: as recorded, else as known from elsewhere."""
        for one in self.connections:
            if one.msgtype == msgtype and one.definition:
                try:
                    store = get_typestore(Stores.EMPTY)
                    store.register(_types(one))
                    store.get_msgdef(msgtype)
                except Exception:  # whatever the parser does with what is no definition
                    continue
                return store
        known = STORE if self.is2 else get_typestore(Stores.ROS1_NOETIC)
        if msgtype not in known.types:
            raise RecordingError(f'its type {msgtype} is not known, and is not in the recording')
        return known


def open_recording(path: Path, say: Say = lambda _: None) -> closing[Recording]:
    """Open a recording of any kind for a context; arguments and errors as `Recording`."""
    return closing(Recording(path, say))


class _Bag(Storage):
    """A ROS 1 recording."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.name)
        try:
            self._reader = BagReader(path)
            self._reader.open()
        except Exception as err:  # damage leads to whatever it leads to
            remedy = (
                '' if _is_no_bag(path) else '; where it was not closed, rosbag reindex mends it'
            )
            raise ValueError(f'{err}{remedy}') from err
        self._by_id = {one.id: one for one in self._reader.connections}
        self.connections = {
            key: Connection(
                topic=one.topic,
                msgtype=one.msgtype,
                msgcount=one.msgcount,
                serialization='ros1',
                definition=getattr(one.msgdef, 'data', one.msgdef),
                digest=one.digest,
            )
            for key, one in self._by_id.items()
        }

    def messages(self, ids: Collection[int], start: int) -> Iterator[tuple[int, int, bytes]]:
        """See `Storage`."""
        try:
            for one, time_ns, raw in self._reader.messages(
                [self._by_id[key] for key in ids], start=start or None
            ):
                yield one.id, time_ns, bytes(raw)
        except Exception as err:  # damage leads to whatever it leads to
            self.note(f'is damaged: {err}')

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _is_no_bag(path: Path) -> bool:
    with path.open('rb') as file:
        return file.read(10) != b'#ROSBAG V2'


def _types(connection: Connection) -> Any:
    """Parse the types that a recorded definition defines."""
    text = connection.definition
    if text.startswith(f'{_IDL_PART}IDL: '):
        types: Any = {}
        for part in text.split(_IDL_PART)[1:]:
            types.update(get_types_from_idl(part.split('\n', 1)[1]))
        return types
    if re.search(r'^\s*(module|struct)\b.*\{', text, re.MULTILINE):
        return get_types_from_idl(text)
    return get_types_from_msg(text, connection.msgtype)
