# SPDX-License-Identifier: Apache-2.0
"""Recordings and folders of pairs as steps to be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from depth_pcd_ros.errors import DepthPcdError, FrameError
from depth_pcd_ros.evaluate.frame_measures import measure, published
from depth_pcd_ros.evaluate.options import Setting
from depth_pcd_ros.evaluate.pairs import Pair, find_pairs, read_depth
from depth_pcd_ros.evaluate.panels import panels
from depth_pcd_ros.evaluate.recorded_truth import RecordedTruth
from depth_pcd_ros.evaluate.results import Results, identify
from depth_pcd_ros.evaluate.temporal import alignment_error
from depth_pcd_ros.evaluate.truth import (
    Asked,
    Depth,
    DepthTruth,
    Transform,
    Truth,
    TruthError,
    depth_camera,
)
from depth_pcd_ros.files.whole_file import write_picture
from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.frame import Picture as Input
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.inputs.intrinsics import Intrinsics, IntrinsicsError, Say
from depth_pcd_ros.inputs.photos import PhotoHeader, read_photo
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.recordings.camera import RecordedCamera
from depth_pcd_ros.recordings.odometry import RecordedOdometry
from depth_pcd_ros.recordings.reader import Recording, RecordingError, open_recording
from depth_pcd_ros.recordings.scale_readings import static_transforms
from depth_pcd_ros.recordings.topics import Topics, find_image_topic
from depth_pcd_ros.scale.held import Held
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.scale.plane import find_floor
from depth_pcd_ros.sync.readings import Evidence, Header
from depth_pcd_ros.work.job import Failure, Job, Picture, Skipped, Step, Write
from depth_pcd_ros.work.selection import Selection

# `published` filters instead of the pipeline, so that what is dropped can be measured.
UNFILTERED = {'min_depth': 0.0, 'max_range': 0.0, 'edge_filter': 0.0}
USUAL_RATE = 30.0  # Hz, of photos without a stamp
TRIALS = 50  # frames of an input, about, on which other angles of the edge filter are tried
QUALITY = 85  # of the pictures, as JPEG


@dataclasses.dataclass(frozen=True)
class Request:
    """The request, the same for all inputs."""

    setting: Setting  # that is judged
    id: str  # of the setting and all else that the figures depend on
    pictures: Path  # folder for a picture of each frame
    intrinsics: Intrinsics  # what the command line says about the camera
    topics: Topics  # of recordings
    selection: Selection  # which pictures are measured
    truth: Asked  # the options about it
    results: Results  # where the figures go
    say: Say  # gets what a person should know


class _Shot(NamedTuple):
    """A picture to be measured, and where it was taken from; without a truth, only to be seen."""

    name: str
    number: int
    picture: Input
    truth: Truth | None
    world_from_camera: Transform | None


class _Job(Job):
    """An input whose frames are measured."""

    def __init__(self, path: Path, request: Request) -> None:
        super().__init__(str(path))
        self._path = path
        self._request = request
        self._settings = request.setting.settings
        self._before: tuple[_Shot, Depth, Camera] | None = None
        # of each input its own: two rooms may have a picture of the same name
        own = identify({'input': self.label})[:6]
        self._pictures = request.pictures / f'{path.stem[:80]}-{own}'
        self._held = Held()
        self._trying = 1  # other angles of the edge filter are tried on every n-th frame
        # then a picture depends on those before, and none is left out
        stateful = ('scale_source', 'none'), ('temporal_filter', 0.0)
        self._depends = any(getattr(self._settings, k, v) != v for k, v in stateful)

    def close(self) -> None:
        """Tell how often the scale was held, and why."""
        for share, why in self._held:
            name = self._request.setting.name
            self._say(f'{name}: the scale was held for {share}, {why}')

    def _say(self, sentence: str) -> None:
        self._request.say(f'{self.label}: {sentence}')

    def _is_done(self, name: str, resume: bool) -> bool:
        return resume and not self._depends and self._request.results.has(self._request.id, name)

    def _step(self, shot: _Shot) -> Step:
        """Measure a picture; one without a truth only makes the network see it, if at all."""
        if shot.truth is not None:
            return Picture(self.label, shot.picture, partial(self._measure, shot, shot.truth))
        if self._depends:
            return Picture(self.label, shot.picture, lambda frame, points: None, is_result=False)
        return Write(self.label, lambda: None, pictures=1)

    def _measure(self, shot: _Shot, truth: Truth, frame: Frame, points: Points) -> None:
        self._held.add_state(frame.scale)
        true = truth.over(frame, shot.picture, self._settings)
        depth = published(frame.depth, frame.camera, self._settings)
        row = measure(
            frame.depth,
            depth,
            true,
            frame.camera,
            self._floor(true, frame.camera),
            try_angles=shot.number % self._trying == 0,
        )
        file = self._pictures / f'{shot.name}.jpg'
        row = {
            'frame': f'{self.label}:{shot.name}',
            'input': self.label,
            'number': shot.number,
            'stamp': shot.picture.header.stamp_ns / 1e9,
            'picture': str(file.relative_to(self._request.pictures.parents[1])),
            'held': frame.scale is not None and bool(frame.scale.cause),
            'network_ms': 1e3 * frame.network_time,
            'temporal': self._temporal(shot, depth, frame.camera),
            **row,
        }
        write_picture(file, panels(frame.rgb, depth, true, row['scale']), QUALITY)
        self._request.results.add(self._request.id, row)

    def _floor(self, true: Depth, camera: Camera) -> Any:
        """Find the floor in the truth; None where none is in view."""
        settings = self._settings
        try:
            return find_floor(true, camera, settings.camera_pitch, settings.camera_roll)[0]
        except ScaleError:
            return None

    def _temporal(self, shot: _Shot, depth: Depth, camera: Camera) -> float | None:
        """Return the temporal alignment error with the frame before; None where it is not known."""
        last, self._before = self._before, (shot, depth, camera)
        if last is None:
            return None
        before, depth_before, camera_before = last
        now, then = shot.world_from_camera, before.world_from_camera
        follows = before.number == shot.number - 1 and camera_before == camera
        if now is None or then is None or not follows:
            return None
        moved = transform.compose(transform.invert(now), then)
        try:
            return alignment_error(depth_before, depth, camera, moved)
        except ValueError:
            return None


class PairsJob(_Job):
    """A folder of photos and their depth.

    Raises:
        PairsError: as `find_pairs`.
    """

    def __init__(self, path: Path, request: Request) -> None:
        super().__init__(path, request)
        pairs = find_pairs(path, request.say)
        first = pairs[0].stamp_ns
        self._pairs = [
            pair
            for number, pair in enumerate(pairs)
            if request.selection.has(number, (_stamp(number, pair) - first) / 1e9)
        ]
        self._trying = max(1, len(self._pairs) // TRIALS)

    def pictures(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the pairs."""
        for number, pair in enumerate(self._pairs):
            if self._is_done(f'{self.label}:{pair.name}', resume):
                yield Skipped(self.label)
                continue
            try:
                yield self._read(number, pair)
            except (FrameError, OSError, IntrinsicsError) as err:
                yield Failure(self.label, err)

    def _read(self, number: int, pair: Pair) -> Step:
        rgb, photo = read_photo(pair.photo)
        calibration = self._calibration(pair, photo)
        truth = DepthTruth(read_depth(pair, self._request.truth.unit))
        if calibration_of_depth := self._request.truth.calibration:
            camera = depth_camera(calibration_of_depth)
            truth = DepthTruth(truth.depth, camera, self._settings.optical_from_sensor)
        # a photo without a stamp is a scene of its own, unless the camera's path is known
        alone = not pair.stamp_ns and pair.world_from_camera is None
        sequence = f'{self.label}:{pair.name}' if alone else self.label
        header = Header(_stamp(number, pair), 'camera', sequence)
        place = pair.world_from_camera
        evidence = Evidence(odom_from_camera=None if place is None else tuple(place))
        picture = Input(rgb, calibration, header, evidence)
        return self._step(_Shot(pair.name, number, picture, truth, place))

    def _calibration(self, pair: Pair, header: PhotoHeader) -> Calibration:
        intrinsics = self._request.intrinsics
        if not intrinsics.given and pair.calibration is not None:
            intrinsics = Intrinsics(pair.calibration, "the folder's intrinsics")
        return intrinsics.fitted(header, self._request.say)


def _stamp(number: int, pair: Pair) -> int:
    return pair.stamp_ns or round(number * 1e9 / USUAL_RATE)


class RecordingJob(_Job):
    """A recording with a camera and a sensor that knows the truth."""

    def pictures(self) -> int:
        """The number of messages on the image topic; one where there is no telling."""
        try:
            with open_recording(self._path) as recording:
                topic = find_image_topic(recording, self._request.topics.image)
                return self._request.selection.count(recording.count(topic))
        except DepthPcdError:  # `steps` reports it
            return 1

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the recording."""
        request = self._request
        with open_recording(self._path, self._say) as recording:
            image_topic = find_image_topic(recording, request.topics.image)
            self._trying = max(1, self.pictures() // TRIALS)
            camera = RecordedCamera(
                recording,
                image_topic,
                topics=request.topics,
                settings=self._settings,
                intrinsics=request.intrinsics,
                label=self.label,
                say=request.say,
            )
            odometry = self._odometry(recording)
            truth = RecordedTruth(
                recording,
                image_topic,
                request.truth,
                optical_from_sensor=self._settings.optical_from_sensor,
                say=self._say,
            )
            if camera.scale is not None and camera.scale.topic == truth.topic:
                self._say(f'{truth.topic} corrects the scale and is the truth: that flatters')
            without = 0
            number = -1
            for number, (time_ns, msg) in enumerate(self._selected(recording, image_topic)):
                name = camera.file_name(msg.header)
                if self._is_done(f'{self.label}:{name}', resume):
                    yield Skipped(self.label)
                    continue
                try:
                    found = truth.find(stamp_ns(msg.header), msg.header.frame_id)
                    without += found is None
                    picture = camera.picture(msg, time_ns, self.label)
                except DepthPcdError as err:
                    yield Failure(self.label, err)
                    continue
                place = odometry.odom_from_camera(msg.header)[0] if odometry else None
                yield self._step(_Shot(name, number, picture, found, place))
            yield from self._sum_up(without, number + 1, truth)
            for damage in recording.damage:
                yield Failure(self.label, RecordingError(f'{damage}; what can be read is used'))

    def _selected(self, recording: Recording, topic: str) -> Iterator[tuple[int, Any]]:
        """Time [ns] and message of the pictures to measure."""
        selection, first_ns = self._request.selection, None
        for number, (time_ns, msg) in enumerate(recording.decoded(topic)):
            first_ns = time_ns if first_ns is None else first_ns
            seconds = (time_ns - first_ns) / 1e9
            if seconds > selection.end:
                return
            if selection.has(number, seconds):
                yield time_ns, msg

    def _sum_up(self, without: int, pictures: int, truth: RecordedTruth) -> Iterator[Step]:
        """Tell of pictures without a truth, which is a failure only where none has one."""
        if not without:
            return
        within = f'within {self._request.truth.tolerance:g} s'
        if without < pictures:
            self._say(f'{without} of {pictures} pictures have no truth {within}: they are left out')
            return
        nearest = (
            f'the topic {truth.topic} has no message'
            if truth.apart is None
            else f'the nearest on {truth.topic} is {truth.apart:.3g} s away: have both the same '
            'clock? --truth-tolerance allows for more'
        )
        reason = f'none of {pictures} pictures has a truth {within}: {nearest}'
        yield Failure(self.label, TruthError('no_truth', reason))

    def _odometry(self, recording: Recording) -> RecordedOdometry | None:
        """Return the poses for the temporal error; None without, or with several topics."""
        asked, transforms = self._request.topics.odometry, static_transforms(recording)
        try:
            found = RecordedOdometry(recording, self._settings, asked, transforms)
        except RecordingError as err:
            self._say(f'no temporal error: {err}')
            return None
        if found.topic:
            self._say(f'motion from {found.topic}, for the temporal error')
        return found
