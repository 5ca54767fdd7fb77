# SPDX-License-Identifier: Apache-2.0
"""The threads that work on frames, so that the executor stays free."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.live.frame_queue import FrameQueue

T = TypeVar('T')
P = TypeVar('P')  # what the network sees of a frame
E = TypeVar('E')  # what it makes of that

MAX_RESTARTS = 5
STOP_PATIENCE = 0.5  # [s] that whoever ends waits for the frame in work

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job(Generic[P, E]):
    """The work on one frame."""

    prepare: Callable[[], P | None]  # returns what the network is to see, None if nobody wants it
    finish: Callable[[E], None]  # gets what the network has made of it
    # is told why the frame gives nothing, where one of them has raised
    drop: Callable[[FrameError], None]


class NetworkThread(threading.Thread):
    """A thread that may be inside the network: nothing calls it back, and no exit waits for it."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)


class Place:
    """A lock that knows when it will be free, by how long the last work under it took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None  # monotonic [s]
        self._took: collections.deque[float] = collections.deque(maxlen=8)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._since = None
        self._lock.release()

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Measure what is done; whoever is in the place may stay in it for longer."""
        self._since = since = time.monotonic()
        yield
        self._took.append(time.monotonic() - since)

    @property
    def taken(self) -> bool:
        """Whether something is or was done in it, by who is still there."""
        return self._since is not None

    @property
    def measured(self) -> bool:
        """Whether something tells how long work in it takes."""
        return bool(self._took)

    @property
    def takes(self) -> float:
        """The least that the last work took [s]: nobody is to wait for a frame."""
        return min(tuple(self._took), default=0.0)

    def free_at(self, now: float) -> float:
        """Return when the work in it will be done, `now` if there is none or it takes longer."""
        since = self._since
        return now if since is None else max(since + self.takes, now)


class Worker(Generic[P, E]):
    """Works on the jobs of a queue in threads of its own, until it is stopped.

    There are three, and three places for one of them at a time: what comes before the network, the
    network, and what comes after it up to publishing. So one frame is published and another one
    prepared while a third is in the network. Frames stay in order, for a thread leaves a place only
    when the next one is free. And none waits there: it is taken from the queue, where a newer one
    may replace it, only when the places after it are about to be free.

    Args:
        estimate: what the network makes of each of several; where it raises, it gets one by one.
        max_batch: how many of one kind enter the network at once, if they are there.
    """

    def __init__(self, estimate: Callable[[list[P]], list[E]], max_batch: int = 1) -> None:
        self.queue: FrameQueue[Job[P, E]] = FrameQueue()
        self._estimate = estimate
        self._max_batch = max_batch
        self._preparing, self._network, self._finishing = Place(), Place(), Place()
        self._moved = threading.Condition()  # a place has become free, or all ends
        self._busy_since: dict[int, float] = {}  # by thread
        self._idle = threading.Condition()
        self._restarts = 0
        self._died = False
        self.lost: DeviceLostError | None = None  # why no frame will pass any more
        self._threads: list[NetworkThread] = []

    def begin(self) -> None:
        """Start the threads if they are not there, as often as may be."""
        self._restarts = 0
        if not self._alive():
            self._died = False
            self._threads = [NetworkThread(self._work, 'depth') for _ in range(3)]
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
        self._notify()
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
            with contextlib.ExitStack() as after:
                with contextlib.ExitStack() as inside:
                    with self._preparing:
                        self._wait_for_turn()
                        jobs = self.queue.get(self._max_batch, unless=lambda: self._died)
                        if not jobs:
                            return
                        self._set_busy(True)
                        after.callback(self._set_busy, False)
                        with self._preparing.work():
                            prepared = [(job, self._attempt(job, job.prepare)) for job in jobs]
                        wanted = [(job, one) for job, one in prepared if one is not None]
                        if wanted:
                            inside.enter_context(self._network)
                    if wanted:
                        with self._network.work():
                            estimated = self._in_network(wanted)
                        if estimated:
                            after.enter_context(self._finishing)
                self._notify()
                if wanted and estimated:
                    with self._finishing.work():
                        for job, estimate in estimated:
                            self._attempt(job, partial(job.finish, estimate))
            self._notify()

    def _wait_for_turn(self) -> None:
        """Wait until a frame that is taken now finds each place free as it comes to it."""
        with self._moved:
            while not (self.queue.closed or self._died):
                too_early = self._too_early(time.monotonic())
                if too_early <= 0.0:
                    return
                self._moved.wait(min(too_early, threading.TIMEOUT_MAX))

    def _too_early(self, now: float) -> float:
        """Return for how long a frame would wait in the places if it were taken now [s].

        It is inf while the first frame of all is in the network.
        """
        if self._network.taken and not self._network.measured:
            return math.inf
        network, finishing = self._network.free_at(now), self._finishing.free_at(now)
        if self._network.taken:  # by a frame that will take the last place before
            network = max(network, finishing)
            finishing = network + self._finishing.takes
        arrival = now + self._preparing.takes
        return max(network - arrival, finishing - self._network.takes - arrival)

    def _notify(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def _in_network(self, wanted: list[tuple[Job[P, E], P]]) -> list[tuple[Job[P, E], E]]:
        """What the network makes of each that it can do something with."""
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
        except DeviceLostError as err:
            self.lost, self._died = err, True
            reason = FrameError('device_lost', str(err))
        except Exception as err:  # whatever one frame does, the next one is tried
            log.debug('a frame fails', exc_info=True)
            reason = FrameError('internal_error', f'{type(err).__name__}: {err}')
        except BaseException as err:  # it is not about the frame: see `revive`
            self._died = True
            self.queue.wake()
            self._notify()
            reason = FrameError('worker_died', f'{type(err).__name__}: {err}')
        try:
            job.drop(reason)
        except Exception:  # where even logging fails, the next frame is tried all the same
            log.debug('a reason is not told', exc_info=True)
        return None
