# SPDX-License-Identifier: Apache-2.0
"""Do the jobs one after another, with reading, inference and writing at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from depth_pcd_ros.convert.batches import batches
from depth_pcd_ros.convert.jobs import Job
from depth_pcd_ros.convert.overlap import overlap
from depth_pcd_ros.convert.report import Report
from depth_pcd_ros.convert.steps import Failure, Outcome, Picture, Skipped, Step, Write
from depth_pcd_ros.frame import Frame
from depth_pcd_ros.pipeline import Pipeline


def run(
    jobs: Sequence[Job], pipeline: Pipeline, report: Report, *, resume: bool, batch: int
) -> None:
    """Do all jobs; what fails is reported, and the rest goes on.

    Args:
        jobs: the inputs.
        pipeline: makes frames and points of their pictures.
        report: told of all that happens.
        resume: leave out what is there.
        batch: how many pictures of one size the network may run on at once.
    """
    report.start(sum(job.pictures() for job in jobs))
    try:
        overlap(
            batches(_read(jobs, resume), batch),
            lambda steps: _infer(steps, pipeline),
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


def _infer(steps: list[Step], pipeline: Pipeline) -> list[Outcome]:
    """Put what saves it in the place of each picture."""
    pictures = [step for step in steps if isinstance(step, Picture)]
    frames: Iterator[Frame] = iter(())
    if len(pictures) > 1:
        # whatever it raises is told below of the picture that raises it, and the others go on
        with contextlib.suppress(Exception):
            frames = iter(pipeline.process_batch([step.picture for step in pictures]))

    def inferred(step: Picture) -> Outcome:
        try:
            frame = next(frames, None) or pipeline.process(step.picture)
        except Exception as err:  # whatever one picture does, the next one is tried
            return Failure(step.label, err)
        results = int(step.is_result)
        return Write(step.label, partial(save, step, frame), pictures=1, results=results)

    def save(step: Picture, frame: Frame) -> None:
        step.save(frame, pipeline.points(frame))  # here only: it uses the same memory again

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
