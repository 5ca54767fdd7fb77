# SPDX-License-Identifier: Apache-2.0
"""Do the jobs one after another, with reading, inference and writing at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from depth_pcd_ros.convert.batches import batches
from depth_pcd_ros.convert.jobs import Job
from depth_pcd_ros.convert.overlap import overlap
from depth_pcd_ros.convert.report import Report
from depth_pcd_ros.convert.steps import Failure, Outcome, Picture, Skipped, Step, Write
from depth_pcd_ros.engine import Engine
from depth_pcd_ros.errors import DeviceLostError
from depth_pcd_ros.frame import Frame
from depth_pcd_ros.pipeline import Estimate, Pipeline, estimate_batch
from depth_pcd_ros.settings import Settings


class Pipelines(dict[str, Pipeline]):
    """One for each camera, made when it is asked for: they share the engine and nothing else.

    Args:
        engine: theirs.
        settings: of all cameras, but those of `of_camera`.
        of_camera: the settings of some, by name.
    """

    def __init__(
        self, engine: Engine, settings: Settings, of_camera: Mapping[str, Settings] | None = None
    ) -> None:
        super().__init__()
        self._engine, self._settings, self._of_camera = engine, settings, of_camera or {}

    def __missing__(self, camera: str) -> Pipeline:
        settings = self._of_camera.get(camera, self._settings)
        self[camera] = Pipeline(self._engine, settings)
        return self[camera]


def run(
    jobs: Sequence[Job], pipelines: Pipelines, report: Report, *, resume: bool, batch: int
) -> None:
    """Do all jobs; what fails is reported, and the rest goes on.

    Args:
        jobs: the inputs.
        pipelines: make frames and points of their pictures.
        report: told of all that happens.
        resume: leave out what is there.
        batch: how many pictures of one size the network may run on at once.
    """
    report.start(sum(job.pictures() for job in jobs))
    try:
        overlap(
            batches(_read(jobs, resume), batch),
            lambda steps: _infer(steps, pipelines),
            lambda steps: _write(steps, report),
        )
    finally:
        for job in jobs:
            job.close()
        report.finish()


def _read(jobs: Sequence[Job], resume: bool) -> Iterator[Step]:
    for job in jobs:
        try:
            yield from job.steps(resume)
        except Exception as err:  # whatever one input does, the next one is tried
            yield Failure(job.label, err)


def _infer(steps: list[Step], pipelines: Pipelines) -> list[Outcome]:
    """Put what saves it in the place of each picture."""
    pictures = [step for step in steps if isinstance(step, Picture)]
    estimates: Iterator[Estimate] = iter(())
    if len(pictures) > 1:
        # whatever it raises is told below of the picture that raises it, and the others go on
        with contextlib.suppress(Exception):
            seen = [pipelines[step.camera].prepare(step.picture) for step in pictures]
            engine = pipelines[pictures[0].camera].engine
            estimates = iter(estimate_batch(engine, seen))

    def inferred(step: Picture) -> Outcome:
        pipeline = pipelines[step.camera]
        try:
            frame = pipeline.finish(next(estimates, None) or pipeline.estimate(step.picture))
        except DeviceLostError:  # none of the pictures to come would do better
            raise
        except Exception as err:  # whatever one picture does, the next one is tried
            return Failure(step.label, err, camera=step.camera)
        results = int(step.is_result)
        return Write(step.label, partial(save, step, frame), pictures=1, results=results)

    def save(step: Picture, frame: Frame) -> None:
        # here only: it uses the same memory again
        step.save(frame, pipelines[step.camera].points(frame))

    return [inferred(step) if isinstance(step, Picture) else step for step in steps]


def _write(steps: list[Outcome], report: Report) -> None:
    for step in steps:
        if isinstance(step, Write):
            try:
                step.run()
                report.count(step.label, 'pictures', step.pictures)
                report.count(step.label, 'done', step.results)
            except Exception as err:  # a full disk, say
                report.failure(Failure(step.label, err))
        elif isinstance(step, Failure):
            report.failure(step)
        elif isinstance(step, Skipped):
            report.count(step.label, 'skipped', step.pictures)
        report.advance(step.pictures)
