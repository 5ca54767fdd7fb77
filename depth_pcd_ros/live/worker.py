# SPDX-License-Identifier: Apache-2.0
"""The threads that work on frames, so that the executor stays free."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.live.frame_queue import FrameQueue

T = TypeVar('T')
P = TypeVar('P')  # what the network sees of a frame
E = TypeVar('E')  # what it makes of that

MAX_RESTARTS = 5
STOP_PATIENCE = 0.5  # [s] that whoever ends waits for the frame in work

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job(Generic[P, E]):
    """The work on one frame.

    Attributes:
        prepare: returns what the network is to see, None if nobody wants it.
        finish: gets what the network has made of it.
        drop: is told why the frame gives nothing, where one of them has raised.
    """

    prepare: Callable[[], P | None]
    finish: Callable[[E], None]
    drop: Callable[[FrameError], None]


class NetworkThread(threading.Thread):
    """A thread that may be inside the network: nothing calls it back, and no exit waits for it."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)


class Worker(Generic[P, E]):
    """Works on the jobs of a queue in threads of its own, until it is stopped.

    There are two, and two places for one of them at a time: the network, and what comes after it
    up to publishing. So a frame is published while the next is in the network, and frames stay in
    order, for a thread leaves the network only when the second place is free.

    Args:
        estimate: what the network makes of each of several; where it raises, it gets one by one.
        max_batch: how many of one kind enter the network at once, if they are there.
    """

    def __init__(self, estimate: Callable[[list[P]], list[E]], max_batch: int = 1) -> None:
        self.queue: FrameQueue[Job[P, E]] = FrameQueue()
        self._estimate = estimate
        self._max_batch = max_batch
        self._network, self._finishing = threading.Lock(), threading.Lock()
        self._busy_since: dict[int, float] = {}  # by thread
        self._idle = threading.Condition()
        self._restarts = 0
        self._died = False
        self._threads: list[NetworkThread] = []

    def begin(self) -> None:
        """Start the threads if they are not there, as often as may be."""
        self._restarts = 0
        if not self._alive():
            self._died = False
            self._threads = [NetworkThread(self._work, 'depth') for _ in range(2)]
            for thread in self._threads:
                thread.start()

    def revive(self) -> bool:
        """Start the threads again if they have died; return False if that was tried too often."""
        if self._alive():
            return True
        restarts = self._restarts + 1
        if restarts > MAX_RESTARTS:
            return False
        log.error(
            'the working thread has died and is started again, %d of %d', restarts, MAX_RESTARTS
        )
        self.begin()
        self._restarts = restarts
        return True

    def busy_for(self, now: float) -> float:
        """Return how long the oldest frame in work has taken so far [s]."""
        return max((now - since for since in tuple(self._busy_since.values())), default=0.0)

    def wait(self, patience: float) -> None:
        """Wait at most `patience` seconds until no frame is in work."""
        with self._idle:
            self._idle.wait_for(lambda: not self._busy_since, patience)

    def stop(self, patience: float, then: Callable[[], None]) -> None:
        """End, and call `then` once nothing is inside the network any more.

        That is waited for `patience` [s] here, and by another thread if it takes longer.
        """

        def end() -> None:
            for thread in self._threads:
                thread.join()
            then()

        self.queue.close()
        last = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(last - time.monotonic(), 0.0))
        if self._alive():
            NetworkThread(end, 'end').start()
        else:
            end()

    def _alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while True:
            with contextlib.ExitStack() as place:
                with self._network:
                    jobs = [] if self._died else self.queue.get(self._max_batch)
                    if not jobs:
                        return
                    self._set_busy(True)
                    place.callback(self._set_busy, False)
                    estimated = self._in_network(jobs)
                    if estimated:
                        place.enter_context(self._finishing)
                for job, estimate in estimated:
                    self._attempt(job, partial(job.finish, estimate))

    def _in_network(self, jobs: list[Job[P, E]]) -> list[tuple[Job[P, E], E]]:
        """What the network makes of each that it can do something with."""
        prepared = [(job, self._attempt(job, job.prepare)) for job in jobs]
        wanted = [(job, one) for job, one in prepared if one is not None]
        if len(wanted) > 1:
            try:
                estimates = self._estimate([one for _, one in wanted])
                return [(job, one) for (job, _), one in zip(wanted, estimates, strict=True)]
            except BaseException:  # it may be due to one of them: that one is told
                log.debug('frames fail together', exc_info=True)
        estimated = []
        for job, one in wanted:
            found = self._attempt(job, partial(self._estimate, [one]))
            if found is not None:
                estimated.append((job, found[0]))
        return estimated

    def _set_busy(self, busy: bool) -> None:
        with self._idle:
            if busy:
                self._busy_since[threading.get_ident()] = time.monotonic()
            else:
                del self._busy_since[threading.get_ident()]
                self._idle.notify_all()

    def _attempt(self, job: Job[P, E], step: Callable[[], T]) -> T | None:
        """Do something for a frame, which is dropped if that fails."""
        try:
            return step()
        except FrameError as err:
            reason = err
        except Exception as err:  # whatever one frame does, the next one is tried
            log.debug('a frame fails', exc_info=True)
            reason = FrameError('internal_error', f'{type(err).__name__}: {err}')
        except BaseException as err:  # it is not about the frame: see `revive`
            self._died = True
            reason = FrameError('worker_died', f'{type(err).__name__}: {err}')
        try:
            job.drop(reason)
        except Exception:  # where even logging fails, the next frame is tried all the same
            log.debug('a reason is not told', exc_info=True)
        return None
