# SPDX-License-Identifier: Apache-2.0
"""Read the request from the command line, and make the job of each input."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from depth_pcd_ros.arguments import flag
from depth_pcd_ros.convert.jobs import PhotoJob, Request, UnknownJob, VideoJob
from depth_pcd_ros.convert.manifest import Manifest, StoreManifest
from depth_pcd_ros.convert.options import ALL, SETTINGS
from depth_pcd_ros.convert.outputs import Outputs
from depth_pcd_ros.convert.recording_job import RecordingJob
from depth_pcd_ros.files.whole_file import is_stored
from depth_pcd_ros.inputs.calibration_files import calibration_text
from depth_pcd_ros.inputs.intrinsics import Intrinsics, Say
from depth_pcd_ros.inputs.options import NAMES as CAMERA
from depth_pcd_ros.inputs.sources import InputsError, Source, telling
from depth_pcd_ros.recordings.options import topics
from depth_pcd_ros.settings import Settings, SettingsError
from depth_pcd_ros.work.job import Job
from depth_pcd_ros.work.selection import Selection


class Options(NamedTuple):
    """The options of the command line, and what was read from them."""

    args: argparse.Namespace
    settings: Settings
    intrinsics: Intrinsics


def request_of(options: Options, say: Say, worker: str = '') -> Request:
    """Make the request, and open the manifest of the output folder for it.

    Args:
        options: the options.
        say: gets what a person should know.
        worker: the end of the name of the manifest's file, where a job has several workers.

    Raises:
        InputsError: the manifest cannot be read, a store has results of other options, or a camera
            of `--set` is not among those that are converted.
        SettingsError: a value for one camera is not allowed; the message names the camera.
    """
    args, settings, intrinsics = options
    manifest = _manifest_of(args, worker)
    return Request(
        folder=args.out,
        settings=settings,
        intrinsics=intrinsics,
        outputs=Outputs(args.out, args.write or ['ply'], manifest, args.up),
        manifest=manifest,
        topics=topics(args),
        cameras=args.cameras,
        of_camera=_of_camera(args, settings),
        selection=Selection(args.every, args.start, args.end),
        copy=args.copy,
        with_files=bool(args.write),
        say=say,
    )


def _of_camera(args: argparse.Namespace, settings: Settings) -> dict[str, Settings]:
    """Return the settings of the cameras that have their own, by name, from those of all."""
    found: dict[str, dict[str, Any]] = {}
    for camera, name, value in args.set:
        if camera not in (args.cameras or ()):
            if not args.cameras:
                raise InputsError(
                    f'--set {camera}.{name} is for a camera that --cameras names: list all of them'
                )
            there = ', '.join(args.cameras)
            raise InputsError(f'--set {camera}.{name}: there is no such camera, --cameras: {there}')
        found.setdefault(camera, {})[name] = value
    own: dict[str, Settings] = {}
    for camera, values in found.items():
        try:
            own[camera] = settings.replace(values)
        except SettingsError as err:
            raise SettingsError(f'--set {camera}: {err}') from err
    return own


def job_of(source: Source, request: Request) -> Job:
    """Choose what is to be done with an input."""
    jobs: dict[str, Callable[[Source, Request], Job]] = {
        'photo': PhotoJob,
        'video': VideoJob,
        'recording': RecordingJob,
    }
    return jobs[source.kind](source, request) if source.kind in jobs else UnknownJob(source)


def _manifest_of(args: argparse.Namespace, worker: str) -> Manifest:
    """Open the manifest of the output folder, with the options that decide what comes out."""
    names = ('image_topic', 'camera_info_topic', 'scale_topic', 'odometry_topic', 'copy')
    options = {name: getattr(args, name) for name in (*SETTINGS, *CAMERA, *names)}
    # only where given, so that older folders, made before these existed, still match
    part = {'every': args.every, 'start': args.start, 'end': args.end}
    given = {name: value for name, value in part.items() if value != getattr(Selection, name)}
    options.update(given)
    if args.cameras is not None:
        options['cameras'] = args.cameras or ALL
    if args.set:
        options['set'] = {f'{camera}.{name}': value for camera, name, value in args.set}
    if args.up:
        options['up'] = args.up
    if args.camera_info is not None:
        options['camera_info'] = calibration_text(args.camera_info)
    named = {flag(name): value for name, value in options.items()}
    if is_stored(args.out):
        with telling(args.out):
            return StoreManifest(args.out, named)
    try:
        shard = '-{}-of-{}'.format(*args.shard) if args.shard else ''
        return Manifest(args.out, named, shard + worker)
    except OSError as err:
        raise InputsError(f'the manifest of earlier runs cannot be read: {err}') from err
