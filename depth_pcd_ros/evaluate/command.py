# SPDX-License-Identifier: Apache-2.0
"""The sub-command depth-pcd evaluate: measure every setting, and write the report."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from depth_pcd_ros.engine import create
from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.evaluate import report as written
from depth_pcd_ros.evaluate.jobs import UNFILTERED, PairsJob, RecordingJob, Request
from depth_pcd_ros.evaluate.options import SETTINGS, Setting, combinations, named
from depth_pcd_ros.evaluate.results import NAME, Results, Row, identify
from depth_pcd_ros.evaluate.truth import Asked, depth_camera
from depth_pcd_ros.geometry.calibration import Calibration, CameraError
from depth_pcd_ros.inputs.calibration_files import calibration_text, read_camera_info
from depth_pcd_ros.inputs.intrinsics import IntrinsicsError
from depth_pcd_ros.inputs.options import NAMES as CAMERA
from depth_pcd_ros.inputs.options import intrinsics as intrinsics_given
from depth_pcd_ros.inputs.sources import InputsError, absolute, find
from depth_pcd_ros.networks.checkpoints import sha256
from depth_pcd_ros.networks.models import MODELS
from depth_pcd_ros.recordings.options import topics
from depth_pcd_ros.scale.messages import TOPICS
from depth_pcd_ros.settings import Settings, SettingsError
from depth_pcd_ros.work.report import Report
from depth_pcd_ros.work.run import Pipelines, run
from depth_pcd_ros.work.selection import Selection

# Options that a measurement depends on, beside the node's parameters.
OPTIONS = (
    'image_topic', 'camera_info_topic', 'scale_topic', 'odometry_topic', 'truth_topic',
    'truth_scale', 'truth_tolerance', 'every', 'start', 'end', *CAMERA,
)  # fmt: skip

Input = tuple[Path, type[RecordingJob] | type[PairsJob]]

PACKAGES = ('matplotlib', 'scipy')
PICTURES = 'frames'  # folder for a picture of each frame


def main(args: argparse.Namespace) -> int:
    """Evaluate; return the exit code: 0 all, 1 some failed, 2 wrong usage."""
    report = Report('evaluate', 'measured')
    _check_packages()
    settings = combinations(args)
    args.out = absolute(args.out)
    inputs = _inputs(args)
    requests, options = _requests(args, settings, report)
    _check_scale_source(settings, inputs)
    jobs = [[job(path, request) for path, job in inputs] for request in requests]
    measured = zip(settings, requests, jobs, strict=True)
    for _, same in itertools.groupby(measured, lambda one: one[0].settings.engine):
        _measure(list(same), args, report)
    names = [str(path) for path, _ in inputs]
    found = _all_measured(requests, options, names)
    if not found:
        print('depth-pcd evaluate: no frame could be measured: no report', file=sys.stderr)
        return 1
    for sentence in written.write(
        args.out, named([one for one, _ in found]), [rows for _, rows in found], names
    ):
        print(sentence)
    return 1 if report.failed else 0


class EvaluateError(DepthPcdError):
    """It cannot be evaluated as asked; the message says why."""


def _check_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise EvaluateError(
            f'the Python packages {" and ".join(missing)} are needed: pip install '
            f'{" ".join(missing)}'
        )


def _inputs(args: argparse.Namespace) -> list[Input]:
    """Find the inputs, and the kind of job that each is."""
    found: list[Input] = []
    for text in args.inputs:
        path = absolute(Path(text))
        if not os.path.exists(path):
            raise InputsError(f'{path}: no such recording or folder')
        if path == args.out:
            raise InputsError(f'{path} is to be read and written: give another folder with -o')
        if path.is_file():
            sources = find([text], args.out)
            if sources[0].kind != 'recording':
                raise InputsError(f'{path} is no recording and no folder')
            found.append((path, RecordingJob))
            continue
        recordings: list[Path] = []
        with contextlib.suppress(InputsError):  # nothing in it: `find_pairs` says what it expects
            below = find([str(path)], args.out)
            recordings = [one.path for one in below if one.kind == 'recording']
        found += [(one, RecordingJob) for one in recordings] or [(path, PairsJob)]
    return found


def _check_scale_source(settings: list[Setting], inputs: list[Input]) -> None:
    """Refuse a sensor that a folder does not have."""
    folders = [path for path, job in inputs if job is PairsJob]
    for source in (one.settings.scale_source for one in settings):
        if folders and source in TOPICS:
            raise InputsError(
                f'{folders[0]} is a folder of photos: scale_source {source} is for recordings'
            )


def _requests(
    args: argparse.Namespace, settings: list[Setting], report: Report
) -> tuple[list[Request], str]:
    """Make the request of each setting, and the name of all that they have in common."""
    existing = [args.out / name for name in (written.JSON, NAME) if (args.out / name).exists()]
    if existing and not (args.force or args.resume):
        raise InputsError(
            f'{existing[0]} is there already: --force overwrites, --resume goes on and adds'
        )
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        results = Results(args.out, anew=not args.resume)
    except OSError as err:
        raise InputsError(f'{args.out} cannot be written to: {err.strerror}') from err
    intrinsics = intrinsics_given(args, report.say)
    calibration = _truth_calibration(args, report)
    truth = Asked(args.truth_topic, calibration, args.truth_scale, args.truth_tolerance)
    options = {name: getattr(args, name) for name in OPTIONS}
    for name in ('camera_info', 'truth_camera_info'):
        path = getattr(args, name)
        options[name] = None if path is None else calibration_text(path)
    common = identify(options)
    weights = {model: _checksum(model) for model in {one.settings.model for one in settings}}
    requests = []
    for setting in settings:
        parameters = {name: getattr(setting.settings, name) for name in SETTINGS}
        key = identify({**options, **parameters, 'weights': weights[setting.settings.model]})
        results.ask(key, common, parameters)
        slug = re.sub(r'[^\w.]+', '-', setting.name)
        requests.append(
            Request(
                setting=setting,
                id=key,
                pictures=args.out / PICTURES / f'{slug}-{key[:6]}',
                intrinsics=intrinsics,
                topics=topics(args),
                selection=Selection(args.every, args.start, args.end),
                truth=truth,
                results=results,
                say=report.say,
            )
        )
    return requests, common


def _checksum(model: str) -> str:
    """Return the SHA-256 of a model that is a file; '' of one with a name."""
    path = absolute(Path(model))
    with contextlib.suppress(OSError):  # `create` says what is wrong with it
        if model not in MODELS and path.is_file():
            return sha256(path)
    return ''


def _all_measured(
    requests: Sequence[Request], options: str, inputs: Sequence[str]
) -> list[tuple[Settings, list[Row]]]:
    """Return the settings that were measured with these options, by earlier runs too.

    Each with its frames of these inputs; none without. Of two that differ in the content of the
    model's file alone, the one that is asked for now.
    """
    results = requests[0].results
    asked = results.asked(options)
    chosen = {}  # by the parameters; the order is that of the first that has them
    for key in (*asked, *(one.id for one in requests)):
        chosen[json.dumps(asked[key], sort_keys=True)] = key
    found = []
    for key in chosen.values():
        rows = [row for row in results.of(key) if row['input'] in inputs]
        with contextlib.suppress(SettingsError):  # of another version
            if rows:
                found.append((Settings().replace(asked[key]), rows))
    return found


def _truth_calibration(args: argparse.Namespace, report: Report) -> Calibration | None:
    if args.truth_camera_info is None:
        return None
    calibration = read_camera_info(args.truth_camera_info, '', report.say)
    try:
        depth_camera(calibration, args.truth_topic)
    except CameraError as err:
        raise IntrinsicsError(f'--truth-camera-info {args.truth_camera_info}: {err}') from err
    return calibration


def _measure(group: list[Any], args: argparse.Namespace, report: Report) -> None:
    """Measure settings that share an engine."""
    engine = create(group[0][0].settings.engine)
    with contextlib.closing(engine):
        for setting, _, jobs in group:
            report.say(f'{setting.name} on {engine.device} with {engine.precision}')
            pipelines = Pipelines(engine, setting.settings.replace(UNFILTERED))
            run(jobs, pipelines, report, resume=args.resume, batch=args.batch)
