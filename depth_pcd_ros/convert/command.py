# SPDX-License-Identifier: Apache-2.0
"""The sub-command depth-pcd convert: what its options ask for."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from depth_pcd_ros.convert.cluster import run_on_ray
from depth_pcd_ros.convert.jobs import UnknownJob, picture_size
from depth_pcd_ros.convert.manifest import Manifest
from depth_pcd_ros.convert.options import SETTINGS
from depth_pcd_ros.convert.request import Options, job_of, request_of
from depth_pcd_ros.convert.size import foretell
from depth_pcd_ros.engine import create
from depth_pcd_ros.errors import DeviceLostError
from depth_pcd_ros.files.whole_file import is_stored
from depth_pcd_ros.geometry.calibration import CameraError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.inputs.intrinsics import (
    NONE,
    WAYS,
    Intrinsics,
    IntrinsicsError,
    focal_of_exif,
)
from depth_pcd_ros.inputs.options import intrinsics as intrinsics_given
from depth_pcd_ros.inputs.photos import read_header
from depth_pcd_ros.inputs.sources import (
    InputsError,
    Source,
    check_topics,
    find,
    located,
    share,
)
from depth_pcd_ros.recordings.topics import PLACE
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.work.job import Job
from depth_pcd_ros.work.report import Report
from depth_pcd_ros.work.run import Pipelines, run


def main(args: argparse.Namespace) -> int:
    """Convert; return the exit code: 0 all, 1 some failed, 2 wrong usage."""
    report = Report()
    settings = Settings().replace({name: getattr(args, name) for name in SETTINGS})
    args.out = located(args.out)
    sources = find(args.inputs, args.out, report.say)
    check_topics(
        sources, settings.scale_source, settings.motion if settings.temporal_filter else ''
    )
    _check_recordings(sources, args.out)
    if all(source.kind == 'unknown' for source in sources):
        return _fail(sources, report)
    intrinsics = _checked(intrinsics_given(args, report.say), sources, settings)
    if 'las' in (args.write or ()) and find_spec('laspy') is None:
        raise InputsError('--write las needs the Python package laspy: pip install laspy')
    _check_cameras(args, sources)
    if args.workers and args.ray is None:
        raise InputsError(f'--workers {args.workers} goes with --ray, which is not there')
    if args.ray and os.path.exists(args.ray):
        raise InputsError(f'--ray takes {args.ray} as the address of a cluster: give --ray last')
    if args.end <= args.start:
        raise InputsError(f'--end is {args.end:g} s, expected more than --start {args.start:g}')
    options = Options(args, settings, intrinsics)
    request = request_of(options, report.say)
    if args.shard:
        by_folder = settings.temporal_filter > 0.0
        sources = share(sources, *args.shard, by_folder=by_folder)
        report.say(f'shard {args.shard[0]}/{args.shard[1]} has {len(sources)} of the inputs')
    if not sources:
        return 0
    jobs = [job_of(source, request) for source in sources]
    _check_existing(jobs, sources, request.manifest, args)
    foretell(jobs, args.write or ['ply'], settings, report.say)
    _check_folder(args.out)
    if args.ray is not None:
        run_on_ray(options, sources, jobs, report)
        return 1 if report.failed else 0
    engine = create(settings.engine)
    report.say(f'{settings.model} on {engine.device} with {engine.precision}')
    try:
        with closing(engine):
            pipelines = Pipelines(engine, settings, request.of_camera)
            run(jobs, pipelines, report, resume=args.resume, batch=args.batch)
    except DeviceLostError as err:
        again = 'start again with --resume for what is missing'
        print(f'depth-pcd convert: {err}: no picture would do better; {again}', file=sys.stderr)
        return 1
    return 1 if report.failed else 0


def _fail(sources: list[Source], report: Report) -> int:
    """Say what is wrong with inputs none of which is one, without loading a model."""
    for source in sources:
        for step in UnknownJob(source).steps(resume=False):
            report.failure(step)
    return 1


def _check_cameras(args: argparse.Namespace, sources: list[Source]) -> None:
    """Refuse --cameras for what has one, and topics that would be those of all of them."""
    topics = {'--image-topic': args.image_topic, '--camera-info-topic': args.camera_info_topic}
    for option, topic in topics.items():
        if topic and args.cameras is not None and topic.count(PLACE) != 1:
            raise InputsError(
                f'{option} is {topic}, expected {PLACE} in it once, for the names of --cameras'
            )
    places = {**topics, '--scale-topic': args.scale_topic, '--odometry-topic': args.odometry_topic}
    for option, topic in places.items():
        if PLACE in topic and args.cameras is None:
            raise InputsError(f'{option} has {PLACE}, which goes with --cameras')
    if args.cameras is not None and not any(s.kind in ('recording', 'unknown') for s in sources):
        raise InputsError('--cameras is for recordings, and there is none')


def _check_recordings(sources: list[Source], out: Path) -> None:
    """Refuse to write a recording into a store."""
    recording = next((source for source in sources if source.kind == 'recording'), None)
    if recording and is_stored(out):
        raise InputsError(
            f'{recording.path} is a recording, which is not written to {out}: give a folder'
        )


def _checked(intrinsics: Intrinsics, sources: list[Source], settings: Settings) -> Intrinsics:
    """Refuse at once what would fail for every input; numbers without a size get the inputs'."""
    if not intrinsics.given:
        lacking = list(itertools.takewhile(bool, map(_lacks, sources)))
        if len(lacking) == len(sources):
            why = next((why for why in lacking if why != NONE), NONE)
            raise IntrinsicsError(f'{why}: give {WAYS}')
        return intrinsics
    if intrinsics.lacks_size:
        found = ((source, picture_size(source)) for source in sources)
        sized = next(((source, size) for source, size in found if size), None)
        if sized is None:
            raise IntrinsicsError(f'say with --size for which pictures {intrinsics.origin} is')
        source, size = sized
        intrinsics = intrinsics.with_size(size, f'as the size of {source.path}')
    calibration = intrinsics.calibration
    if calibration is not None:
        if settings.distortion == 'ignore':
            calibration = calibration.without_distortion()
        try:
            Camera.from_calibration(calibration, rectified=settings.rectified)
        except CameraError as err:
            raise IntrinsicsError(f'{intrinsics.origin}: {err}') from err
    return intrinsics


def _lacks(source: Source) -> str:
    """Say why an input has no intrinsics of its own; '' where it has, or cannot be read."""
    if source.kind == 'photo':
        header = read_header(source.path)
        fx, _, why = focal_of_exif(header) if header is not None else (1.0, 1.0, '')
        return '' if fx else f'{source.path}: {why}' if why != NONE else NONE
    return '' if source.kind == 'recording' else NONE


def _check_existing(
    jobs: list[Job], sources: list[Source], manifest: Manifest, args: argparse.Namespace
) -> None:
    """Refuse to write over what is there, and over inputs in any case."""
    existing = [path for job in jobs for path in job.existing()]
    inputs = {source.path for source in sources}.intersection(existing)
    if inputs:
        path = min(inputs)
        raise InputsError(f'{path} is an input and would be overwritten: use another folder')
    folders = (path for path in existing if not is_stored(path) and path.is_dir())
    folder = next((path for path in folders if not manifest.knows(path)), None)
    if args.force and folder:  # a recording is replaced with all that is in its folder
        raise InputsError(
            f'{folder} was not made by convert, and is not overwritten: remove it, or give another '
            'folder with -o'
        )
    if args.force or not existing:
        return
    if not args.resume:
        raise InputsError(
            f'{_first(existing)} is there already: --force overwrites, --resume leaves it out'
        )
    others = [path for path in existing if not manifest.is_done(path)]
    if others:
        raise InputsError(
            f'{_first(others)} was made with other options: {manifest.difference(others[0])}; '
            '--resume goes on with the same ones, --resume --force makes again what had others'
        )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that what is written could not make; a run that fails leaves none behind."""
    if is_stored(folder):  # its manifest has found its bucket
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise InputsError(f'{folder} cannot be written to: {there} is no folder')
    if not os.access(there, os.W_OK):
        raise InputsError(f'{folder} cannot be written to')


def _first(paths: list[Path]) -> str:
    return str(paths[0]) + (f' (and {len(paths) - 1} more)' if len(paths) > 1 else '')
