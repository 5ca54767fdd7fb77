# SPDX-License-Identifier: Apache-2.0
"""The place between the callback that receives frames and the thread that works on them."""

from __future__ import annotations

import collections
import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class FrameQueue(Generic[T]):
    """Hands frames from one thread to another: the newest only, or all in order.

    The queue is born shut: frames wait until `open` is called, so that the first frames of a
    recording outlast the wait for their CameraInfo.

    Args:
        keep_all: hand over every frame in order; else a newer frame replaces the waiting one.
        max_bytes: bound on the bytes that wait, for `keep_all`; a frame that does not fit is
            refused by `put`. The first waiting frame always fits.
    """

    def __init__(self, *, keep_all: bool, max_bytes: int) -> None:
        self._keep_all = keep_all
        self._max_bytes = max_bytes
        self._frames: collections.deque[tuple[T, int]] = collections.deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._open = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def open(self) -> None:
        """Let frames through from now on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> int:
        """Drop what waits and make every `get`, now and later, return None.

        Returns:
            How many frames were dropped.
        """
        with self._changed:
            self._closed = True
            dropped = len(self._frames)
            self._frames.clear()
            self._bytes = 0
            self._changed.notify_all()
            return dropped

    def put(self, frame: T, size: int) -> T | None:
        """Add a frame of `size` bytes; return the frame that is lost for it, or None.

        With `keep_all` that is the frame itself when the queue is full, else the frame that has
        been waiting.
        """
        with self._changed:
            lost: T | None = None
            if self._keep_all:
                if self._frames and self._bytes + size > self._max_bytes:
                    return frame
            elif self._frames:
                lost, lost_size = self._frames.popleft()
                self._bytes -= lost_size
            self._frames.append((frame, size))
            self._bytes += size
            self._changed.notify_all()
            return lost

    def get(self) -> T | None:
        """Wait for the next frame and return it; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._open and self._frames))
            if self._closed:
                return None
            frame, size = self._frames.popleft()
            self._bytes -= size
            return frame
