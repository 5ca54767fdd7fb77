# SPDX-License-Identifier: Apache-2.0
"""The sub-command depth-pcd calibrate-scale: measure, and print a line for the YAML file."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import numpy as np

from depth_pcd_ros.calibrate.options import SETTINGS
from depth_pcd_ros.engine import EngineError, create
from depth_pcd_ros.errors import DepthPcdError, FrameError
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.networks.checkpoints import CheckpointError
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.recordings.reader import RecordingError
from depth_pcd_ros.recordings.samples import of_recording
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.scale import beam, stage
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.settings import Settings, SettingsError
from depth_pcd_ros.sync.readings import RangeReading

# The filters have no say: the depth is measured as the network gives it.
UNFILTERED = {'min_depth': 0.0, 'edge_filter': 0.0, 'scale_source': 'none'}
MAX_SPREAD = 0.1  # of the scale, above which a constant is no good

Measure = Callable[[Frame, Picture], Measurement]


class UsageError(DepthPcdError):
    """The options do not go together."""


def main(args: argparse.Namespace) -> int:
    """Measure; return the exit code: 0 done, 1 nothing was measured, 2 wrong usage."""
    try:
        settings = Settings().replace({name: getattr(args, name) for name in SETTINGS})
        _check(args)
        measure = _by_distance(args) if args.distance is not None else _by_source(settings)
        engine = create(settings.engine)
    except (SettingsError, UsageError, CheckpointError, EngineError) as err:
        return _fail(err, 2)
    try:
        with closing(engine):
            pipeline = Pipeline(engine, settings.replace(UNFILTERED))
            return _report(*_measured(_samples(args, settings), pipeline, measure))
    except (RecordingError, FrameError, TimeoutError) as err:
        return _fail(f'{args.recording}: {err}' if args.recording else err, 1)


def _check(args: argparse.Namespace) -> None:
    if (args.distance is None) == (args.scale_source == 'none'):
        raise UsageError('say what is known: either --distance or --scale-source')
    if args.distance is not None and not 0.0 < args.distance < math.inf:
        raise UsageError(f'--distance is {args.distance:g} m, expected more than 0')
    if args.frames < 1:
        raise UsageError(f'--frames is {args.frames}, expected 1 or more')
    if not args.box >= 0.0:
        raise UsageError(f'--box is {args.box:g} px, expected 0 or more')
    if args.recording is not None and not args.recording.exists():
        raise UsageError(f'there is no recording {args.recording}')


def _samples(args: argparse.Namespace, settings: Settings) -> Iterator[Picture]:
    topics = Topics(args.image_topic, args.camera_info_topic, args.scale_topic)
    if args.recording is not None:
        return of_recording(args.recording, topics, settings.scale_source, args.frames, _say)
    try:
        from depth_pcd_ros.ros.live_samples import live
    except ImportError as err:
        raise RecordingError(f'without a RECORDING, ROS is needed: {err}') from err
    return live(settings, topics, args.frames, args.wait)


def _by_distance(args: argparse.Namespace) -> Measure:
    """Compare a circle of pixels with the distance, as with that of a range finder."""

    def measure(frame: Frame, picture: Picture) -> Measurement:
        camera = frame.camera
        at = args.at or ((camera.width - 1) / 2, (camera.height - 1) / 2)
        x, y = camera.unproject(at)
        cone = 2.0 * math.atan(args.box / 2.0 / camera.fx / math.hypot(x, y, 1.0))
        reading = RangeReading(0, '', args.distance, 0.0, math.inf, cone)
        return beam.measure(frame.depth, camera, reading, (0, 0, 0), (x, y, 1), frame.max_range)

    return measure


def _by_source(settings: Settings) -> Measure:
    def measure(frame: Frame, picture: Picture) -> Measurement:
        return stage.measure(
            frame.depth,
            frame.camera,
            header=picture.header,
            evidence=picture.evidence,
            settings=settings,
            max_depth=frame.max_range,
        )

    return measure


def _measured(
    pictures: Iterable[Picture], pipeline: Pipeline, measure: Measure
) -> tuple[list[float], Counter[str], dict[str, str]]:
    """The scales, and how often there was none: by cause, and the first reason of each."""
    scales: list[float] = []
    failures: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for picture in pictures:
        frame = pipeline.process(picture)
        try:
            scales.append(measure(frame, picture).scale)
        except ScaleError as err:
            failures[err.cause] += 1
            reasons.setdefault(err.cause, str(err))
    return scales, failures, reasons


def _report(scales: list[float], failures: Counter[str], reasons: dict[str, str]) -> int:
    for cause, count in failures.most_common():
        total = len(scales) + failures.total()
        _say(f'{count} of {total} pictures tell nothing, {cause}: {reasons[cause]}')
    if not scales:
        return _fail('no picture tells the scale', 1)
    low, median, high = np.percentile(scales, (10, 50, 90))
    print(
        f'depth_scale: {median:.4f}  # median of {len(scales)} pictures, '
        f'{low:.4f} to {high:.4f} (10th to 90th percentile)'
    )
    if high - low > MAX_SPREAD * median:
        _say(
            f'the scale varies by {(high - low) / median:.0%}: a constant is right only on '
            'average, scale_source follows it'
        )
    return 0


def _fail(err: object, code: int) -> int:
    _say(str(err))
    return code


def _say(sentence: str) -> None:
    print(f'depth-pcd calibrate-scale: {sentence}', file=sys.stderr)
