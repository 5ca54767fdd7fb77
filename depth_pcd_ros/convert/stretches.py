# SPDX-License-Identifier: Apache-2.0
"""A large recording in stretches of time, which several workers convert."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

from depth_pcd_ros.convert.jobs import Request
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.messages.decode import calibration_from_msg, stamp_ns
from depth_pcd_ros.recordings.reader import Recording, open_recording
from depth_pcd_ros.recordings.topics import find_camera_info_topic, find_image_topic
from depth_pcd_ros.recordings.writer import RecordingWriter


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A part of a recording."""

    index: int  # which part it is, from 0
    start_ns: int  # when its first picture was recorded
    end_ns: int | None  # when that of the next part was; None for the last part
    number: int  # of its first picture in the recording
    first_ns: int  # when the first picture of the recording was recorded
    pictures: int  # how many of its pictures are converted


def stretches_of(source: Source, request: Request, size: int) -> list[Stretch]:
    """Divide a recording where that changes nothing of what comes out.

    It does not where no picture has to do with those before, where all CameraInfo are the same, and
    no two pictures have the same stamp.

    Returns:
        Stretches of `size` pictures in order; none where it is to be converted as a whole.
    """
    if request.settings.needs_motion or request.copy or request.cameras is not None:
        return []
    try:
        with open_recording(source.path) as reader:
            topic = find_image_topic(reader, request.topics.image)
            if reader.count(topic) < 2 * size:
                return []
            if not (request.intrinsics.given or _is_fixed(reader, topic, request)):
                return []
            return _divided(reader, topic, request, size)
    except Exception:  # its job reports it
        return []


def _is_fixed(reader: Recording, topic: str, request: Request) -> bool:
    infos = find_camera_info_topic(reader, topic, request.topics.camera_info)
    found = (msg for _, msg in reader.decoded(infos))
    return len({(msg.header.frame_id, calibration_from_msg(msg)) for msg in found}) == 1


def _divided(reader: Recording, topic: str, request: Request, size: int) -> list[Stretch]:
    selected: list[tuple[int, int]] = []  # time and number of each picture that is converted
    stamps: Counter[int] = Counter()
    first_ns = None
    for number, (time_ns, msg) in enumerate(reader.decoded(topic)):
        first_ns = time_ns if first_ns is None else first_ns
        if request.selection.has(number, (time_ns - first_ns) / 1e9):
            selected.append((time_ns, number))
            stamps[stamp_ns(msg.header)] += 1
    if first_ns is None or reader.damage or len(selected) < 2 * size:
        return []
    if max(stamps.values()) > 1 or sorted(selected) != selected:
        return []
    # a stretch begins where no earlier picture has the same time
    starts = [0]
    for i in range(1, len(selected) - size + 1):
        if i >= starts[-1] + size and selected[i][0] > selected[i - 1][0]:
            starts.append(i)
    ends = [*starts[1:], len(selected)]
    return [
        Stretch(
            index,
            start_ns=selected[start][0],
            end_ns=selected[end][0] if end < len(selected) else None,
            number=selected[start][1],
            first_ns=first_ns,
            pictures=end - start,
        )
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def folder_of_parts(target: Path) -> Path:
    """Return the folder that holds the parts of a new recording until they are joined."""
    return target.with_name(f'.{target.name}.parts')


def part_of(target: Path, stretch: Stretch) -> Path:
    """Return the path of the recording that a stretch becomes."""
    return folder_of_parts(target) / f'{stretch.index:05d}'


def finish(writer: RecordingWriter, target: Path, request: Request) -> None:
    """Give a new recording its name; parts of it that there were are not needed any more."""
    writer.close()
    request.manifest.begin(target)
    writer.rename()
    shutil.rmtree(folder_of_parts(target), ignore_errors=True)
