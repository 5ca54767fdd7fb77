# SPDX-License-Identifier: Apache-2.0
"""Reads mcap, also where a file was not closed or a part of it is damaged.

Source: https://mcap.dev/spec.
"""

from __future__ import annotations

import dataclasses
import heapq
import os
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

from depth_pcd_ros.recordings.connection import Connection, Storage, qos_of

MAGIC = b'\x89MCAP0\r\n'
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 1, 2, 3, 4, 5, 6
_CHUNK_INDEX, _STATISTICS = 8, 11
_FOOTER_BYTES = 9 + 20 + len(MAGIC)


class _Chunk(NamedTuple):
    start: int  # time of its first message [ns]
    end: int  # and of its last
    offset: int  # of its record in the file
    channels: frozenset[int] | None  # that have messages in it; None: not known


class _Fields:
    """Takes the fields of a record one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    def take(self, kinds: str) -> tuple[int, ...]:
        """Return numbers, little-endian."""
        kinds = f'<{kinds}'
        at, self._at = self._at, self._at + struct.calcsize(kinds)
        return struct.unpack_from(kinds, self._data, at)

    def raw(self) -> bytes:
        """Return bytes that have their number before them."""
        (size,) = self.take('I')
        at, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise ValueError('a record is shorter than it says')
        return bytes(self._data[at : self._at])

    def text(self) -> str:
        """Return text; a definition of protobuf is none, and of no use here."""
        return self.raw().decode(errors='replace')

    def rest(self) -> bytes:
        """Return what is left."""
        return bytes(self._data[self._at :])


class McapFile(Storage):
    """A file with the index that its recorder wrote at its end, or else by all of its records.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no mcap.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name)
        self.connections: dict[int, Connection] = {}
        self._schemas: dict[int, tuple[str, str, str]] = {}  # name, encoding, definition
        self._counts: Counter[int] = Counter()
        self._lacks_schema = False  # of a channel: a summary need not have them
        self._chunks: list[_Chunk] = []
        self._loose: list[tuple[int, int]] = []  # time and offset of messages outside of chunks
        self._file = path.open('rb')
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise ValueError('it is empty' if not path.stat().st_size else 'it is no mcap')
            if not self._read_index():
                self._scan()
        except BaseException:
            self._file.close()
            raise
        self.connections = {
            key: dataclasses.replace(connection, msgcount=self._counts[key])
            for key, connection in self.connections.items()
        }

    def messages(self, ids: Collection[int], start: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield id, time [ns] and content of the messages of these topics from a time on."""
        loose = (_Chunk(time, time, at, None) for time, at in self._loose)
        parts = [
            part
            for part in (*self._chunks, *loose)
            if part.end >= start and (part.channels is None or not part.channels.isdisjoint(ids))
        ]
        waiting: list[tuple[int, int, int, bytes]] = []  # chunks may overlap in time
        count = 0
        for part in sorted(parts, key=lambda part: part.start):
            while waiting and waiting[0][0] <= part.start:
                time_ns, _, channel, data = heapq.heappop(waiting)
                yield channel, time_ns, data
            try:
                found = list(self._messages_at(part.offset, ids))
            except Exception as err:  # damage leads to whatever it leads to
                self.note(f'is damaged at byte {part.offset}: {err}')
                continue
            for channel, time_ns, data in found:
                if time_ns < start:
                    continue
                heapq.heappush(waiting, (time_ns, count, channel, data))
                count += 1
        while waiting:
            time_ns, _, channel, data = heapq.heappop(waiting)
            yield channel, time_ns, data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _record(self, offset: int) -> tuple[int, bytes]:
        """Operation and content of the record at this place."""
        self._file.seek(offset)
        operation, size = struct.unpack('<BQ', self._file.read(9))
        if size > os.fstat(self._file.fileno()).st_size - offset - 9:
            raise ValueError('it ends within a record')
        return operation, self._file.read(size)

    def _read_index(self) -> bool:
        """Read the summary at the end; whether it is there and has all that is needed."""
        try:
            end = self._file.seek(-_FOOTER_BYTES, os.SEEK_END)
            footer = self._file.read()
            at = struct.unpack_from('<BQQ', footer)[2]
            if not footer.endswith(MAGIC) or footer[0] != _FOOTER or not at:
                return False
            while at < end:
                operation, content = self._record(at)
                at += 9 + len(content)
                self._take(operation, content)
        except (OSError, ValueError, struct.error):
            pass
        if self._chunks and self.connections and self._counts and not self._lacks_schema:
            return True
        self._chunks.clear()
        self._counts.clear()
        self._lacks_schema = False
        return False

    def _scan(self) -> None:
        """Read all records: as many as are whole."""
        at, size = len(MAGIC), os.fstat(self._file.fileno()).st_size
        while at < size - len(MAGIC):
            try:
                operation, content = self._record(at)
            except (OSError, ValueError, struct.error):
                break
            if operation == _FOOTER:
                return
            try:
                if operation not in (_CHUNK_INDEX, _STATISTICS):  # of what was read already
                    self._take(operation, content, at)
            except Exception as err:  # damage leads to whatever it leads to
                self.note(f'is damaged at byte {at}: {err}')
            at += 9 + len(content)
        self.note(f'was not closed, or is cut off: it ends at byte {size}')

    def _take(self, operation: int, content: bytes, offset: int = 0) -> None:
        fields = _Fields(content)
        if operation == _SCHEMA:
            (key,) = fields.take('H')
            self._schemas[key] = fields.text(), fields.text(), fields.text()
        elif operation == _CHANNEL:
            self._take_channel(fields)
        elif operation == _STATISTICS:
            fields.take('QHIIIIQQ')
            counts = fields.raw()
            self._counts.update(dict(struct.iter_unpack('<HQ', counts)))
        elif operation == _CHUNK_INDEX:
            start, end, at, _ = fields.take('QQQQ')
            indices = fields.raw()
            channels = frozenset(key for key, _ in struct.iter_unpack('<HQ', indices))
            self._chunks.append(_Chunk(start, end, at, channels or None))
        elif operation == _CHUNK:
            channels_here = Counter[int]()
            for inner, record in _records(_unpacked(content)):
                if inner == _MESSAGE:
                    channels_here.update(struct.unpack_from('<H', record))
                else:
                    self._take(inner, record)
            start, end = struct.unpack_from('<QQ', content)
            self._chunks.append(_Chunk(start, end, offset, frozenset(channels_here)))
            self._counts.update(channels_here)
        elif operation == _MESSAGE:
            channel, _, time_ns = fields.take('HIQ')
            self._loose.append((time_ns, offset))
            self._counts[channel] += 1

    def _take_channel(self, fields: _Fields) -> None:
        key, schema = fields.take('HH')
        topic, serialization = fields.text(), fields.text()
        notes = _Fields(fields.raw())
        profiles = ''
        while notes.rest():
            name, value = notes.text(), notes.text()
            if name == 'offered_qos_profiles':
                profiles = value
        self._lacks_schema |= schema != 0 and schema not in self._schemas
        msgtype, encoding, definition = self._schemas.get(schema, ('', '', ''))
        if encoding not in ('ros2msg', 'ros2idl', 'omgidl'):
            definition = ''
        self.connections[key] = Connection(
            topic=topic,
            msgtype=msgtype,
            serialization=serialization,
            definition=definition,
            qos=qos_of(profiles),
        )

    def _messages_at(self, offset: int, ids: Collection[int]) -> Iterator[tuple[int, int, bytes]]:
        operation, content = self._record(offset)
        records = _records(_unpacked(content)) if operation == _CHUNK else [(operation, content)]
        for inner, record in records:
            if inner == _MESSAGE:
                channel, _, time_ns, _ = struct.unpack_from('<HIQQ', record)
                if channel in ids:
                    yield channel, time_ns, record[22:]


def _unpacked(chunk: bytes) -> bytes:
    """Return the records of a chunk, decompressed."""
    fields = _Fields(chunk)
    _, _, size, checksum = fields.take('QQQI')
    compression = fields.text()
    (packed,) = fields.take('Q')
    if compression not in DECOMPRESSORS:
        raise ValueError(f'it is compressed as {compression!r}')
    records = DECOMPRESSORS[compression](fields.rest()[:packed], size)
    if len(records) != size or (checksum and zlib.crc32(records) != checksum):
        raise ValueError('the checksum of a chunk is wrong')
    return records


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        operation, size = struct.unpack_from('<BQ', data, at)
        at += 9 + size
        if at > len(data):
            raise ValueError('a record is cut off')
        yield operation, data[at - size : at]
