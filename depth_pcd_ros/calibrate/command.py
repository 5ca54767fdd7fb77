# SPDX-License-Identifier: Apache-2.0
"""The sub-command depth-pcd calibrate-scale: measure, and print a line for the YAML file."""

from __future__ import annotations

import argparse
import functools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from depth_pcd_ros.calibrate.options import SETTINGS
from depth_pcd_ros.calibrate.samples import of_inputs
from depth_pcd_ros.engine import create
from depth_pcd_ros.errors import DepthPcdError, FrameError
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.inputs.intrinsics import IntrinsicsError
from depth_pcd_ros.inputs.options import intrinsics as intrinsics_given
from depth_pcd_ros.inputs.sources import Source, check_topics, find
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.recordings.options import topics
from depth_pcd_ros.recordings.reader import RecordingError
from depth_pcd_ros.scale import beam, stage
from depth_pcd_ros.scale.held import Held
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import RangeReading

# Without filters: the depth is measured as the network gives it.
UNFILTERED = {'min_depth': 0.0, 'edge_filter': 0.0}
# The scale from motion rests on many pictures, so the pipeline measures it: unsmoothed, unbounded.
MEASURED = {'scale_smoothing': 0.0, 'scale_step': 1.0, 'scale_bounds': (0.01, 100.0)}
MAX_SPREAD = 0.1  # of the scale; with more, a constant is a poor choice
# Noise makes the pictures of a camera at rest differ by less, on average, at this size.
SMALL, MAX_DIFFERENCE = (32, 24), 8.0  # px, grey levels

Measure = Callable[[Frame, Picture], Measurement]


class UsageError(DepthPcdError):
    """The options do not go together."""


def main(args: argparse.Namespace) -> int:
    """Measure; return the exit code: 0 done, 1 nothing was measured, 2 wrong usage."""
    settings = Settings().replace({name: getattr(args, name) for name in SETTINGS})
    _check(args)
    sources = _sources(args)
    measure = _by_distance(args) if args.distance is not None else _by_source(settings)
    engine = create(settings.engine)
    try:
        with closing(engine):
            changes = MEASURED if settings.scale_source == 'motion' else {'scale_source': 'none'}
            pipeline = Pipeline(engine, settings.replace({**UNFILTERED, **changes}))
            pictures = _Pictures(_samples(args, settings, sources))
            scales, held = _measured(pictures, pipeline, measure)
        still = args.distance is None or not pictures.have_moved
        return _report(scales, held, still=still)
    except (RecordingError, IntrinsicsError, FrameError, TimeoutError) as err:
        _say(f'{args.inputs[0]}: {err}' if len(args.inputs) == 1 else str(err))
        return 1


def _check(args: argparse.Namespace) -> None:
    if (args.distance is None) == (args.scale_source == 'none'):
        raise UsageError('say what is known: either --distance or --scale-source')
    if args.distance is not None and not 0.0 < args.distance < math.inf:
        raise UsageError(f'--distance is {args.distance:g} m, expected more than 0')
    if args.frames < 1:
        raise UsageError(f'--frames is {args.frames}, expected 1 or more')
    if not args.box >= 0.0:
        raise UsageError(f'--box is {args.box:g} px, expected 0 or more')


def _sources(args: argparse.Namespace) -> list[Source]:
    """Find the inputs, none for live topics."""
    sources = find(args.inputs, Path(), _say) if args.inputs else []
    for source in sources:
        if source.kind == 'unknown':
            reason = 'it is no photo, video or recording'
            there = os.path.exists(source.path)
            raise UsageError(f'{source.path}: {reason if there else "no such file"}')
    check_topics(sources, args.scale_source)
    return sources


def _samples(
    args: argparse.Namespace, settings: Settings, sources: list[Source]
) -> Iterator[Picture]:
    say = functools.cache(_say)  # what holds for each picture of a video is said once
    given = intrinsics_given(args, say)
    if sources:
        if given.given and any(source.kind == 'recording' for source in sources):
            raise IntrinsicsError('a recording has its CameraInfo: leave out the intrinsics')
        return of_inputs(
            sources,
            given,
            topics=topics(args),
            settings=settings,
            count=args.frames,
            say=say,
        )
    try:
        from depth_pcd_ros.ros.live_samples import live
    except ImportError as err:
        raise RecordingError(f'without an INPUT, ROS is needed: {err}') from err
    return live(settings, topics(args), args.frames, args.wait)


class _Pictures:
    """Pictures as they come, and whether they show another place than the first.

    Attributes:
        have_moved: so far.
    """

    def __init__(self, pictures: Iterator[Picture]) -> None:
        self._pictures = pictures
        self.have_moved = False

    def __iter__(self) -> Iterator[Picture]:
        first = None
        for picture in self._pictures:
            small = cv2.resize(picture.rgb, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
            small -= small.mean()  # the exposure may change
            first = small if first is None else first
            self.have_moved |= bool(np.abs(small - first).mean() > MAX_DIFFERENCE)
            yield picture


def _by_distance(args: argparse.Namespace) -> Measure:
    """Compare a circle of pixels with the distance, as with that of a range finder."""

    def measure(frame: Frame, picture: Picture) -> Measurement:
        camera = frame.camera
        at = args.at or ((camera.width - 1) / 2, (camera.height - 1) / 2)
        x, y = camera.unproject(at)
        cone = 2.0 * math.atan(args.box / 2.0 / camera.fx / math.hypot(x, y, 1.0))
        reading = RangeReading(0, '', args.distance, 0.0, math.inf, field_of_view=cone)
        return beam.measure(frame.depth, camera, reading, ((0, 0, 0), (x, y, 1)), frame.max_range)

    return measure


def _by_source(settings: Settings) -> Measure:
    def measure(frame: Frame, picture: Picture) -> Measurement:
        state = frame.scale
        if state is not None:
            if state.cause:
                raise ScaleError(state.cause, state.reason)
            return Measurement(state.scale, state.shift, state.inliers)
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
) -> tuple[list[float], Held]:
    """Return the scales, and how often there was none."""
    scales, held = list[float](), Held()
    for picture in pictures:
        frame = pipeline.process(picture)
        try:
            scales.append(measure(frame, picture).scale)
            held.add()
        except ScaleError as err:
            held.add(err.cause, str(err))
    return scales, held


def _report(scales: list[float], held: Held, *, still: bool) -> int:
    for share, why in held:
        _say(f'{share} tell nothing, {why}')
    if not scales:
        _say('no picture tells the scale')
        return 1
    low, median, high = np.percentile(scales, (10, 50, 90))
    print(
        f'depth_scale: {median:.4f}  # median of {len(scales)} pictures, '
        f'{low:.4f} to {high:.4f} (10th to 90th percentile)'
    )
    low_bound, high_bound = Settings.scale_bounds
    if not low_bound <= median <= high_bound:
        _say(
            f'a scale of {median:.3g} is to be doubted, models are off by 10 to 20 %: is the '
            'distance in metres, and to what these pixels show, the model made for such scenes, '
            'the calibration that of this camera?'
        )
    if not still:
        _say(
            'the pictures differ, so the camera has moved: it must stand still, since the distance '
            'holds for one place; take --frames 1 or a part in which it stands'
        )
    elif high - low > MAX_SPREAD * median:
        _say(
            f'the scale varies by {(high - low) / median:.0%}: a constant is right only on '
            'average, scale_source follows it'
        )
    return 0


def _say(sentence: str) -> None:
    print(f'depth-pcd calibrate-scale: {sentence}', file=sys.stderr)
