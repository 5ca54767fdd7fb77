# SPDX-License-Identifier: Apache-2.0
"""The place between the callbacks that receive frames and the threads that work on them."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar('T')


class FrameQueue(Generic[T]):
    """Frames that wait for one network, those of each camera in a `Lane` of their own.

    Lanes take turns, so that none waits for another's fast camera.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._lanes: collections.deque[Lane[T]] = collections.deque()  # in the order of turns
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def add_lane(self, *, keep_all: bool, max_bytes: int) -> Lane[T]:
        """Add a lane, which is there until it is closed; arguments as for `Lane`."""
        lane: Lane[T] = Lane(self.changed, keep_all=keep_all, max_bytes=max_bytes)
        with self.changed:
            self._lanes.append(lane)
        return lane

    def get(self, most: int = 1, unless: Callable[[], bool] = lambda: False) -> list[T]:
        """Wait for the next frame; return it, and those like it that are there already.

        Args:
            most: how many frames.
            unless: whether to return none; asked again after `wake`.

        Returns:
            One frame or more, in the order of turns; none once the queue is closed.
        """
        with self.changed:
            while not (self._closed or unless()):
                lane = self._next(None)
                if lane is not None:
                    kind, frames = lane.kind, [lane.take()]
                    while kind is not None and len(frames) < most and (lane := self._next(kind)):
                        frames.append(lane.take())
                    return frames
                self.changed.wait()
            return []

    def _next(self, kind: Hashable) -> Lane[T] | None:
        """The lane whose turn it is, now the last in turn; of those with a frame of a kind."""
        for lane in tuple(self._lanes):
            if lane.closed:
                self._lanes.remove(lane)
            elif lane.ready and kind in (None, lane.kind):
                self._lanes.remove(lane)
                self._lanes.append(lane)
                return lane
        return None

    def wake(self) -> None:
        """Make every `get` ask again whether it is to wait."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Make every `get`, now and later, return none."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()


class Lane(Generic[T]):
    """The frames of one camera that wait: the newest only, or all in order.

    It is born shut: frames wait until `open` is called, so that the first frames of a recording
    outlast the wait for their CameraInfo.

    Args:
        changed: the condition of the queue.
        keep_all: hand over every frame in order; else a newer frame replaces the waiting one.
        max_bytes: bound on the bytes that wait, for `keep_all`; a frame that does not fit is
            refused by `put`. The first waiting frame always fits.
    """

    def __init__(self, changed: threading.Condition, *, keep_all: bool, max_bytes: int) -> None:
        self._changed = changed
        self._keep_all = keep_all
        self._max_bytes = max_bytes
        self._frames: collections.deque[tuple[T, int, Hashable]] = collections.deque()
        self._bytes = 0
        self._open = False
        self.closed = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def ready(self) -> bool:
        """Whether there is a frame to be taken."""
        return self._open and bool(self._frames)

    @property
    def kind(self) -> Hashable:
        """That of the frame that is taken next."""
        return self._frames[0][2]

    def open(self) -> None:
        """Let frames through from now on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> int:
        """Drop what waits, for good; return how many frames that were."""
        with self._changed:
            self.closed = True
            dropped = len(self._frames)
            self._frames.clear()
            return dropped

    def put(self, frame: T, size: int, kind: Hashable = None) -> T | None:
        """Add a frame; return the frame that is lost for it, or None.

        With `keep_all` that is the frame itself when there is no room, else the frame that has
        been waiting.

        Args:
            frame: the frame.
            size: its bytes.
            kind: frames of one kind can be worked on together; None: only by itself.
        """
        with self._changed:
            lost: T | None = None
            if self._keep_all:
                if self._frames and self._bytes + size > self._max_bytes:
                    return frame
            elif self._frames:
                lost = self.take()
            self._frames.append((frame, size, kind))
            self._bytes += size
            self._changed.notify_all()
            return lost

    def take(self) -> T:
        """Remove the frame that has waited longest and return it."""
        frame, size, _ = self._frames.popleft()
        self._bytes -= size
        return frame
