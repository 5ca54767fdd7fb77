# SPDX-License-Identifier: Apache-2.0
"""Convert on a Ray cluster: the inputs are handed out as workers become free."""

from __future__ import annotations

import argparse
import dataclasses
import glob
import math
import os
import shutil
import signal
import socket
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from depth_pcd_ros.convert.jobs import Request
from depth_pcd_ros.convert.recording_job import JoinJob, RecordingJob
from depth_pcd_ros.convert.request import Options, job_of, request_of
from depth_pcd_ros.convert.stretches import Stretch, folder_of_parts, stretches_of
from depth_pcd_ros.engine import create
from depth_pcd_ros.engine.hardware import threads
from depth_pcd_ros.errors import DepthPcdError, DeviceLostError
from depth_pcd_ros.files.whole_file import is_stored
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.work.job import Failure, Job
from depth_pcd_ros.work.report import Report
from depth_pcd_ros.work.run import Pipelines, run

PHOTOS_AT_ONCE = 16  # for a worker, which then reads, infers and writes at the same time
PICTURES_AT_ONCE = 256  # of a recording, which is divided where it has twice as many
MOST_DEATHS = 3  # of workers on one input, or while loading the model, before it has failed
REACHED_IN = 10.0  # [s] or there is no cluster at an address
PATIENCE = 20.0  # [s] without a worker before a person learns what they wait for

Note = tuple[str, tuple[Any, ...]]  # a method of `Report` and its arguments


class ClusterError(DepthPcdError):
    """The cluster cannot be used; the message says why."""


class Part(NamedTuple):
    """The inputs that a worker gets at once."""

    sources: tuple[Source, ...]  # a single one where it is divided
    stretches: tuple[Stretch, ...] = ()  # those of a recording that is divided
    stretch: Stretch | None = None  # the one that is converted; None: they are joined


class _Notes(Report):
    """Notes each call that it gets, so that the report of the driver gets the same."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Note] = []
        for name in ('start', 'advance', 'count', 'say', 'fail', 'finish'):
            setattr(self, name, partial(self._note, name))

    def _note(self, name: str, *values: Any) -> None:
        if name not in ('start', 'finish'):  # the driver has begun, and goes on
            self.notes.append((name, values))


class _Worker:
    """Converts parts with an engine of its own.

    Args:
        options: those of the command line.
        number: of the worker.
        most: pictures in a stretch of a recording; 0: recordings are not divided.
        threads: `OMP_NUM_THREADS` for it; '': as many as Ray gives it processors.
    """

    def __init__(self, options: Options, number: int, most: int, threads: str) -> None:
        self._options, self._number = options, number
        self._most, self._threads = most, threads

    def load(self) -> str:
        """Load the model; return what runs it."""
        os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # as in cli.py, on any machine
        if self._threads:
            os.environ['OMP_NUM_THREADS'] = self._threads
        cv2.setNumThreads(threads())
        settings = self._options.settings
        engine = create(settings.engine)
        self._request = self._new_request()
        self._pipelines = Pipelines(engine, settings, self._request.of_camera)
        return f'{settings.model} on {engine.device} with {engine.precision}'

    def convert(
        self, part: Part, *, resume: bool, is_retry: bool
    ) -> tuple[list[Note], list[Stretch]]:
        """Convert a part; return what there is to report, or stretches to convert instead."""
        report = _Notes()
        if is_retry:  # another worker has died on it, and may have noted files
            self._request = self._new_request()
        request = dataclasses.replace(self._request, say=report.say)
        source = part.sources[0]
        if self._most and source.kind == 'recording' and not part.stretches:
            is_done = resume and request.manifest.is_done(request.folder / source.name)
            stretches = [] if is_done else stretches_of(source, request, self._most)
            if stretches:
                return [], stretches
        jobs = _jobs_of(part, request)
        try:
            run(jobs, self._pipelines, report, resume=resume, batch=self._options.args.batch)
        except DeviceLostError:  # only another process can use it again: this one has died
            os._exit(os.EX_UNAVAILABLE)
        return report.notes, []

    def _new_request(self) -> Request:
        return request_of(self._options, lambda _: None, f'-ray-{self._number}')


def _jobs_of(part: Part, request: Request) -> list[Job]:
    if part.stretch is not None:
        return [RecordingJob(part.sources[0], request, part.stretch)]
    if part.stretches:
        return [JoinJob(part.sources[0], request, part.stretches)]
    return [job_of(source, request) for source in part.sources]


def run_on_ray(
    options: Options, sources: Sequence[Source], jobs: Sequence[Job], report: Report
) -> None:
    """Convert all sources on a cluster; what fails is reported, and the rest goes on.

    The option `ray` is the address of the cluster, '' for one of this machine.

    Raises:
        ClusterError: Ray is not installed, or the cluster cannot be reached.
        DepthPcdError: the model cannot be loaded.
    """
    args = options.args
    if args.ray:
        os.environ.setdefault('RAY_NUM_REDIS_GET_RETRIES', '1')  # of 40 s each; Ray has 20
    else:  # it listens to this machine alone, as Ray has it on macOS and Windows
        os.environ.setdefault('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', '0')
    try:
        import ray
    except ImportError as err:
        raise ClusterError(
            f'--ray needs the Python package ray ({err}): pip install "depth_pcd_ros[ray]"'
        ) from err
    _check_reachable(args.ray)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(args.ray or 'local', include_dashboard=False, log_to_driver=False)
    except Exception as err:  # whatever Ray does where there is no cluster
        raise ClusterError(f'the Ray cluster {args.ray or "here"} cannot be used: {err}') from err
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has set its own
    plain = argparse.Namespace(**{k: v for k, v in vars(args).items() if k != 'run'})
    driver = _Driver(ray, options._replace(args=plain), report)
    try:
        driver.run(sources, sum(job.pictures() for job in jobs))
    except SystemExit as err:  # of SIGTERM; inside Ray its code becomes 1
        raise SystemExit(128 + signal.SIGTERM) from err
    finally:
        ray.shutdown()
        for source in driver.interrupted:
            _clean(args.out, source)


def _check_reachable(address: str) -> None:
    """Refuse at once what Ray would try for minutes, deaf to Ctrl-C; `auto` is left to Ray."""
    host, _, port = address.removeprefix('ray://').rpartition(':')
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip('[]'), int(port)), REACHED_IN).close()
        except (OSError, OverflowError) as err:
            raise ClusterError(f'the Ray cluster {address} cannot be reached: {err}') from err


class _Driver:
    """Hands out parts to workers.

    Args:
        ray: the module, connected to a cluster.
        options: of the command line, without what cannot be sent to a worker.
        report: gets what the workers report.
    """

    def __init__(self, ray: Any, options: Options, report: Report) -> None:
        self._ray, self._options, self._report = ray, options, report
        args = options.args
        nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
        cpus, gpus = ([int(node.get(kind, 0)) for node in nodes] for kind in ('CPU', 'GPU'))
        self.count = args.workers or sum(gpus) or max(1, sum(cpus) // 4)
        share = {'num_cpus': share_of(cpus, self.count)}
        if any(gpus):
            share['num_cpus'] = min(1.0, share['num_cpus'])
            share['num_gpus'] = min(1.0, share_of(gpus, self.count))
        self._share = share
        self._actor = ray.remote(_Worker).options(**share)
        self._by_folder = options.settings.temporal_filter > 0.0
        self._started = 0
        self._busy: dict[Any, tuple[Any, Part, int]] = {}  # by task: worker, part, deaths
        self._loading: dict[Any, Any] = {}  # workers by task
        self._deaths = 0  # of workers while they loaded the model
        self._to_join: Counter[Source] = Counter()  # how many stretches are not converted yet

    @property
    def interrupted(self) -> list[Source]:
        """The inputs that workers were at when all ended."""
        return [source for _, part, _ in self._busy.values() for source in part.sources]

    def run(self, sources: Sequence[Source], pictures: int) -> None:
        """Hand out the sources until all are done."""
        parts = _parts(sources, by_folder=self._by_folder)
        args = self._options.args
        waiting = deque((part, 0) for part in parts)  # and how many workers have died on it
        divided = any(source.kind == 'recording' for source in sources)
        count = self.count if divided else min(self.count, len(waiting))
        self._workers = f'{count} worker{"s" if count > 1 else ""}'
        for _ in range(count):
            self._begin_worker()
        free = self._first_ones()
        self._report.start(pictures)
        try:
            while waiting or self._busy:
                while waiting and free:
                    part, deaths = waiting.popleft()
                    worker = free.pop()
                    # leave out what a dead worker has finished, unless older files may be there
                    resume = args.resume or (deaths > 0 and not args.force)
                    task = worker.convert.remote(part, resume=resume, is_retry=deaths > 0)
                    self._busy[task] = worker, part, deaths
                for task in self._ray.wait([*self._busy, *self._loading], timeout=1.0)[0]:
                    if task in self._loading:
                        free += self._loaded(task)
                        continue
                    worker, part, deaths = self._busy.pop(task)
                    try:
                        notes, stretches = self._ray.get(task)
                        self._tell(notes, is_retry=deaths > 0)
                        waiting.extendleft((one, 0) for one in self._next(part, stretches))
                        free.append(worker)
                    except self._ray.exceptions.RayActorError as err:
                        waiting.extend(self._after_death(part, deaths + 1, err))
                        self._begin_worker()
        finally:
            self._report.finish()

    def _tell(self, notes: list[Note], *, is_retry: bool) -> None:
        """Report what a worker has noted; what its dead predecessor has made counts as done."""
        for name, values in notes:
            if is_retry and not self._options.args.resume and values[1:2] == ('skipped',):
                values = (values[0], 'done', values[2])
            getattr(self._report, name)(*values)

    def _next(self, part: Part, stretches: Sequence[Stretch]) -> list[Part]:
        """Return the parts that follow from one that is done, the first at the end."""
        source = part.sources[0]
        if stretches:
            self._to_join[source] = len(stretches)
            return [Part((source,), tuple(stretches), one) for one in reversed(stretches)]
        if part.stretch is not None:
            self._to_join[source] -= 1
            if not self._to_join[source]:
                return [part._replace(stretch=None)]
        return []

    def _begin_worker(self) -> None:
        self._started += 1
        most = PICTURES_AT_ONCE if self.count > 1 else 0
        threads = os.environ.get('OMP_NUM_THREADS', '')
        worker = self._actor.remote(self._options, self._started, most, threads)
        self._loading[worker.load.remote()] = worker

    def _first_ones(self) -> list[Any]:
        """Wait for a worker that has loaded the model."""
        free: list[Any] = []
        while not free:
            tasks = self._ray.wait(list(self._loading), timeout=PATIENCE)[0]
            if not tasks:
                share = ', '.join(f'{name}={n:g}' for name, n in self._share.items())
                self._report.say(
                    f'no worker has loaded the model yet; each waits for a machine with {share}'
                )
            for task in tasks:
                free += self._loaded(task)
        return free

    def _loaded(self, task: Any) -> list[Any]:
        """Return the worker that a task has made ready; none where it has died over it.

        Raises:
            ClusterError: that has happened too often.
            DepthPcdError: the model cannot be loaded.
        """
        worker = self._loading.pop(task)
        try:
            self._report.say(f'{self._ray.get(task)}, {self._workers}')
        except self._ray.exceptions.RayTaskError as err:
            if isinstance(err.cause, DepthPcdError):
                raise err.cause from err
            raise
        except self._ray.exceptions.RayActorError as err:
            self._deaths += 1
            if self._deaths == MOST_DEATHS:
                raise ClusterError(f'workers have died while they loaded the model: {err}') from err
            self._begin_worker()
            return []
        return [worker]

    def _after_death(self, part: Part, deaths: int, err: Exception) -> list[tuple[Part, int]]:
        """Return what to try again of a dead worker's part: each input by itself."""
        if deaths < MOST_DEATHS and (self._by_folder or part.stretches):
            self._report.say('a worker has died, and what it had is tried again')
            return [(part, deaths)]
        if deaths < MOST_DEATHS:
            self._report.say(
                f'a worker has died, and its {len(part.sources)} inputs are tried again'
            )
            return [(Part((source,)), deaths) for source in part.sources]
        for source in part.sources:
            self._report.failure(
                Failure(str(source.path), ClusterError(f'workers died on it: {err}'))
            )
        return []


def share_of(units: Sequence[int], count: int) -> float:
    """Return how much each of some workers can have, none of it on two machines.

    Args:
        units: how many processors, or GPUs, each machine has.
        count: how many workers there are to be.

    Returns:
        A whole number, or where there are more workers than units 1 / n: n of them share each.
    """
    total = sum(units)
    if not total:
        return 1.0
    if count > total:
        return 1.0 / math.ceil(count / total)
    shares = range(total // count, 0, -1)
    return float(next(n for n in shares if sum(unit // n for unit in units) >= count))


def _parts(sources: Sequence[Source], *, by_folder: bool) -> list[Part]:
    """Divide the inputs: several photos a part, one of all else; the large ones first.

    With `by_folder`, all photos of a folder, which are a sequence.
    """
    photos = [source for source in sources if source.kind == 'photo']
    others = [Part((source,)) for source in sources if source.kind != 'photo']
    if by_folder:
        folders: dict[Path, list[Source]] = {}
        for photo in photos:
            folders.setdefault(photo.path.parent, []).append(photo)
        return [*others, *(Part(tuple(folder)) for folder in folders.values())]
    starts = range(0, len(photos), PHOTOS_AT_ONCE)
    return [*others, *(Part(tuple(photos[at : at + PHOTOS_AT_ONCE])) for at in starts)]


def _clean(folder: Path, source: Source) -> None:
    """Remove what a worker that was killed has left half written of an input."""
    if is_stored(folder):  # where nothing is half
        return
    target = folder / source.name
    name = glob.escape(target.name)
    halves = [*target.parent.glob(f'{name}.part'), *target.parent.glob(f'{name}.*.part')]
    for below in (target, target.with_name(f'{target.name}_files'), folder_of_parts(target)):
        halves += below.glob('*.part')
    for half in halves:
        if half.is_dir():
            shutil.rmtree(half, ignore_errors=True)
        else:
            half.unlink(missing_ok=True)
