# SPDX-License-Identifier: Apache-2.0
"""Match the CameraInfos of a recording to its pictures."""

from __future__ import annotations

from collections import deque
from typing import Any

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.messages.decode import calibration_from_msg, stamp_ns
from depth_pcd_ros.recordings.reader import Recording
from depth_pcd_ros.sync.camera_infos import CameraInfos


class RecordedCalibrations:
    """The calibration of each picture, as the node chooses it among the CameraInfo so far.

    It is one with the picture's stamp, also where it was recorded a little later than the picture,
    else the newest that fits. Pictures before the first CameraInfo take that.

    Args:
        topic: that of the CameraInfo.
        named: a person has named the topic, so that its frame_id does not matter.
    """

    def __init__(self, recording: Recording, topic: str, *, named: bool = False) -> None:
        self._to_come: deque[tuple[int, Any, Calibration]] = deque()
        for time_ns, msg in recording.decoded(topic):
            self._to_come.append((time_ns, msg.header, calibration_from_msg(msg)))
        self._own = {stamp_ns(header): (header, c) for _, header, c in self._to_come}
        self._known = CameraInfos(any_frame=named)

    def find(self, time_ns: int, header: Any, width: int, height: int) -> Calibration:
        """Find the calibration of a picture; see `CameraInfos.find` for the errors."""
        while self._to_come and (self._to_come[0][0] <= time_ns or not len(self._known)):
            _, of, calibration = self._to_come.popleft()
            self._known.add(stamp_ns(of), of.frame_id, calibration)
        stamp = stamp_ns(header)
        if stamp in self._own:
            own, calibration = self._own.pop(stamp)
            self._known.add(stamp, own.frame_id, calibration)
        return self._known.find(stamp, header.frame_id, width, height)
