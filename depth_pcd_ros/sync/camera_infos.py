# SPDX-License-Identifier: Apache-2.0
"""Find the calibration of an image among the CameraInfo messages received."""

from __future__ import annotations

import collections
import threading
from typing import NamedTuple

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.calibration import Calibration, CameraError

# An image without a CameraInfo of its own gets one that fits, of this many of the last ones.
RECENT = 64
# Where every image is worked on, so many are found by their stamp: 1 GiB of small images may wait.
KEPT = 2**14
# The wait for the CameraInfo of an image's own stamp, which many drivers publish second.
PATIENCE = 0.05  # [s]


class _Entry(NamedTuple):
    frame_id: str
    calibration: Calibration
    image_size: tuple[int, int] | None  # None: unusable, which raises when it is used


class CameraInfos:
    """The last calibrations; safe to use from several threads.

    The frame_id of a CameraInfo has to be that of the image. A slash before it does not count, and
    an empty one contradicts nothing.

    Args:
        kept: how many are found by the stamp of an image.
        any_frame: take whatever frame_id they have, as on a topic that the user has named: then the
            size alone decides.
    """

    def __init__(self, kept: int = KEPT, *, any_frame: bool = False) -> None:
        self._kept = kept
        self._any_frame = any_frame
        self._recent: collections.deque[_Entry] = collections.deque(maxlen=RECENT)
        self._by_stamp: dict[tuple[int, str], _Entry] = {}  # and frame_id; the oldest one first
        self._changed = threading.Condition()
        self._last_image: tuple[int, str] | None = None

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, stamp_ns: int, frame_id: str, calibration: Calibration) -> bool:
        """Remember a calibration as the newest.

        Returns:
            Whether it differs from the last one of the same frame and image size: a zoom lens.
        """
        frame_id = self._frame(frame_id)
        try:
            image = calibration.of_image()
            size = (image.width, image.height)
        except CameraError:
            size = None
        with self._changed:
            same = (
                e for e in reversed(self._recent) if (e.frame_id, e.image_size) == (frame_id, size)
            )
            last = next(same, None)
            is_new = last is None or last.calibration != calibration
            if last is not None and not is_new:
                calibration = last.calibration  # one object for thousands of entries
            entry = _Entry(frame_id, calibration, size)
            self._recent.append(entry)
            self._by_stamp.pop((stamp_ns, frame_id), None)  # to the end, in a recording's next loop
            self._by_stamp[stamp_ns, frame_id] = entry
            if len(self._by_stamp) > self._kept:
                del self._by_stamp[next(iter(self._by_stamp))]
            self._changed.notify_all()
        return last is not None and is_new

    def find(self, stamp_ns: int, frame_id: str, width: int, height: int) -> Calibration:
        """Return the calibration of an image's own stamp, else the newest one that fits it.

        The one of its own stamp is right where every image has another (a zoom lens) and the
        images wait behind a slow network. If the image before had one, this one's is waited for a
        moment: it may be on its way. One that is unusable whatever the image counts as
        fitting, so that its error says why.

        Raises:
            FrameError: none fits; the message compares the image with the newest one.
        """
        image = (stamp_ns, self._frame(frame_id))
        fits = ((width, height), None)
        with self._changed:
            if self._last_image is not None and self._own(self._last_image) is not None:
                self._changed.wait_for(lambda: self._own(image) is not None, PATIENCE)
            self._last_image = image
            own = self._own(image)
            newest_first = list(reversed(self._recent))
        if own is not None and own.image_size in fits:
            return own.calibration
        if not newest_first:
            raise FrameError('no_camera_info', 'no CameraInfo yet')
        of_frame = [entry for entry in newest_first if entry.frame_id in ('', image[1])]
        if not of_frame:
            raise FrameError(
                'frame_id_mismatch',
                f'image in frame {frame_id!r} but CameraInfo in frame '
                f'{newest_first[0].frame_id!r}: if it is this camera all the same, name its topic',
            )
        fitting = next((entry for entry in of_frame if entry.image_size in fits), None)
        if fitting is None:
            raise FrameError(
                'size_mismatch',
                f'image {width}x{height} but CameraInfo {of_frame[0].calibration.image_size()}',
            )
        return fitting.calibration

    def _frame(self, frame_id: str) -> str:
        return '' if self._any_frame else frame_id.removeprefix('/')

    def _own(self, image: tuple[int, str]) -> _Entry | None:
        """Return the entry of this stamp and frame_id, or of this stamp and no frame_id."""
        return self._by_stamp.get(image) or self._by_stamp.get((image[0], ''))
