# SPDX-License-Identifier: Apache-2.0
"""Finds the calibration of an image among the CameraInfo messages received."""

from __future__ import annotations

import collections
import threading
from typing import NamedTuple

from depth_pcd_ros.calibration import Calibration, CameraError
from depth_pcd_ros.errors import FrameError

# As many as images may be on their way between a camera and the worker.
KEPT = 64
# How long an image waits for the CameraInfo of its own stamp, which many drivers publish second.
PATIENCE = 0.05  # [s]


class _Entry(NamedTuple):
    stamp_ns: int
    frame_id: str
    calibration: Calibration
    image_size: tuple[int, int] | None  # None: unusable, to be told of when it is used


class CameraInfos:
    """The last few calibrations; safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: collections.deque[_Entry] = collections.deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._last_stamp_ns: int | None = None  # of an image

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, stamp_ns: int, frame_id: str, calibration: Calibration) -> bool:
        """Remember a calibration as the newest.

        Returns:
            Whether it differs from the last one of the same frame and image size: a zoom lens.
        """
        try:
            image = calibration.reduced()
            size = (image.width, image.height)
        except CameraError:
            size = None
        with self._changed:
            same = (
                e for e in reversed(self._entries) if (e.frame_id, e.image_size) == (frame_id, size)
            )
            last = next(same, None)
            self._entries.append(_Entry(stamp_ns, frame_id, calibration, size))
            self._changed.notify_all()
        return last is not None and last.calibration != calibration

    def find(self, stamp_ns: int, frame_id: str, width: int, height: int) -> Calibration:
        """Return the calibration of an image's own stamp, else the newest one that fits it.

        The one of its own stamp is right where every image has another (a zoom lens) and the
        images wait behind a slow network. If the image before had one, this one's is waited for a
        moment: it may be on its way. One that is unusable whatever the image counts as
        fitting, so that the reason is told.

        Raises:
            FrameError: none fits; the message compares the image with the newest one.
        """
        with self._changed:
            if self._last_stamp_ns is not None and self._has(self._last_stamp_ns):
                self._changed.wait_for(lambda: self._has(stamp_ns), PATIENCE)
            self._last_stamp_ns = stamp_ns
            newest_first = list(reversed(self._entries))
        if not newest_first:
            raise FrameError('no_camera_info', 'no CameraInfo yet')
        of_frame = [entry for entry in newest_first if entry.frame_id == frame_id]
        if not of_frame:
            raise FrameError(
                'frame_id_mismatch',
                f'image in frame {frame_id!r} but CameraInfo in frame {newest_first[0].frame_id!r}',
            )
        fitting = [entry for entry in of_frame if entry.image_size in ((width, height), None)]
        if not fitting:
            found_width, found_height = of_frame[0].image_size or (0, 0)
            raise FrameError(
                'size_mismatch',
                f'image {width}x{height} but CameraInfo {found_width}x{found_height}',
            )
        own = (entry for entry in fitting if entry.stamp_ns == stamp_ns)
        return next(own, fitting[0]).calibration

    def _has(self, stamp_ns: int) -> bool:
        return any(entry.stamp_ns == stamp_ns for entry in self._entries)
