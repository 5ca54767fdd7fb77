# SPDX-License-Identifier: Apache-2.0
"""Do jobs one after another, with reading, inference and writing at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from depth_pcd_ros.engine import Engine
from depth_pcd_ros.errors import DeviceLostError
from depth_pcd_ros.frame import Frame
from depth_pcd_ros.pipeline import Estimate, Pipeline, estimate_batch
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.work.job import Failure, Job, Outcome, Picture, Skipped, Step, Write
from depth_pcd_ros.work.overlap import overlap
from depth_pcd_ros.work.report import Report

# Steps in a batch for each of its pictures: the messages that a recording has between two pictures
# do not part them, and do not fill the memory either.
MOST_STEPS = 8


class Pipelines(dict[str, Pipeline]):
    """One for each camera, made when it is asked for: they share the engine and nothing else.

    `settings` are those of all cameras but the ones that `of_camera` has by name.
    """

    def __init__(
        self, engine: Engine, settings: Settings, of_camera: Mapping[str, Settings] | None = None
    ) -> None:
        super().__init__()
        self.engine = engine
        self._settings, self._of_camera = settings, of_camera or {}

    def __missing__(self, camera: str) -> Pipeline:
        settings = self._of_camera.get(camera, self._settings)
        self[camera] = Pipeline(self.engine, settings)
        return self[camera]


def run(
    jobs: Sequence[Job], pipelines: Pipelines, report: Report, *, resume: bool, batch: int = 0
) -> None:
    """Do all jobs; what fails is reported, and the rest goes on.

    With `resume`, what is there is left out. `batch` is how many pictures of one size the network
    may run on at once; 0: as many as the device gains from.
    """
    report.start(sum(job.pictures() for job in jobs))
    try:
        overlap(
            batches(_read(jobs, resume), batch or pipelines.engine.batch),
            lambda steps: _infer(steps, pipelines),
            lambda steps: _write(steps, report),
        )
    finally:
        for job in jobs:
            job.close()
        report.finish()


def batches(steps: Iterable[Step], size: int) -> Iterator[list[Step]]:
    """Divide steps, in their order, into lists with at most `size` pictures, all as large."""
    batch: list[Step] = []
    shape, count = None, 0
    for step in steps:
        if isinstance(step, Picture):
            if count and step.picture.rgb.shape != shape:
                yield batch
                batch, count = [], 0
            shape, count = step.picture.rgb.shape, count + 1
        batch.append(step)
        if count == size or len(batch) == MOST_STEPS * size:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _read(jobs: Sequence[Job], resume: bool) -> Iterator[Step]:
    for job in jobs:
        try:
            yield from job.steps(resume)
        except Exception as err:  # whatever happens to one input, the next one is tried
            yield Failure(job.label, err)


def _infer(steps: list[Step], pipelines: Pipelines) -> list[Outcome]:
    """Put what saves it in the place of each picture."""
    pictures = [step for step in steps if isinstance(step, Picture)]
    estimates: Iterator[Estimate] = iter(())
    if len(pictures) > 1:
        # what it raises is reported below, of the picture that raises it, and the others go on
        with contextlib.suppress(Exception):
            seen = [pipelines[step.camera].prepare(step.picture) for step in pictures]
            estimates = iter(estimate_batch(pipelines.engine, seen))

    def inferred(step: Picture) -> Outcome:
        pipeline = pipelines[step.camera]
        try:
            frame = pipeline.finish(next(estimates, None) or pipeline.estimate(step.picture))
        except DeviceLostError:  # none of the pictures to come would do better
            raise
        except Exception as err:  # whatever happens to one picture, the next one is tried
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
