# SPDX-License-Identifier: Apache-2.0
"""Reads the sqlite3 files of rosbag2, up to where one is damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from depth_pcd_ros.recordings.connection import Connection, Storage, qos_of

MAGIC = b'SQLite format 3\0'


class Db3File(Storage):
    """A file.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is not what rosbag2 writes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name)
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError('it is empty' if not path.stat().st_size else 'it is no sqlite3')
        # immutable: a folder that must not be written to is no obstacle, unless a recorder that was
        # killed has left the last messages in a file beside this one
        mode = 'mode=ro' if Path(f'{path}-wal').exists() else 'immutable=1'
        where = f'{path.absolute().as_uri()}?{mode}'
        self._database = sqlite3.connect(where, uri=True, check_same_thread=False)
        try:
            self.connections = self._topics()
        except (sqlite3.Error, TypeError) as err:
            self._database.close()
            raise ValueError(f'its topics cannot be read: {err}') from err

    def messages(self, ids: Collection[int], start: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield id, time [ns] and content of the messages of these topics from a time on."""
        those = f'topic_id IN ({", ".join(str(int(key)) for key in ids)}) AND timestamp >= {start}'
        select = 'SELECT topic_id, timestamp, data FROM messages'
        count = 0
        try:
            for row in self._database.execute(f'{select} WHERE {those} ORDER BY timestamp'):
                yield row
                count += 1
        except sqlite3.Error as err:
            self.note(f'is damaged: {err}')
        else:
            return
        if not count:  # the index is damaged, say: messages are in order by themselves, too
            try:
                yield from self._database.execute(f'{select} NOT INDEXED WHERE {those} ORDER BY id')
            except sqlite3.Error:
                return

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._database.execute(f'PRAGMA table_info({table})')}

    def _topics(self) -> dict[int, Connection]:
        columns = self._columns('topics')
        if not columns:
            raise ValueError('it is no recording of rosbag2')
        definitions: dict[str, str] = {}
        if self._columns('message_definitions'):
            definitions = dict(
                self._database.execute(
                    'SELECT topic_type, encoded_message_definition FROM message_definitions'
                )
            )
        qos = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
        digest = 'type_description_hash' if 'type_description_hash' in columns else "''"
        counts = self._counts()
        return {
            key: Connection(
                topic=topic,
                msgtype=msgtype,
                msgcount=counts[key],
                serialization=serialization,
                definition=definitions.get(msgtype, ''),
                digest=hashed,
                qos=qos_of(profiles),
            )
            for key, topic, msgtype, serialization, profiles, hashed in self._database.execute(
                f'SELECT id, name, type, serialization_format, {qos}, {digest} FROM topics'
            )
        }

    def _counts(self) -> Counter[int]:
        grouped = 'SELECT topic_id, count(*) FROM messages GROUP BY topic_id'
        counts: Counter[int] = Counter()
        try:
            return Counter(dict(self._database.execute(grouped)))
        except sqlite3.Error as err:
            self.note(f'is damaged: {err}')
        with contextlib.suppress(sqlite3.Error):  # as many as can be read
            for (key,) in self._database.execute('SELECT topic_id FROM messages'):
                counts[key] += 1
        return counts
