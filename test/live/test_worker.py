# SPDX-License-Identifier: Apache-2.0
"""The working threads, with jobs that stand for frames."""

import logging
import threading

import pytest

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.live.worker import MAX_RESTARTS, Job, NetworkThread, Worker


@pytest.fixture
def worker():
    """A worker that has begun, with an open lane."""
    worker = Worker()
    worker.begin()
    worker.lane = worker.queue.add_lane(keep_all=True, max_bytes=100)
    worker.lane.open()
    yield worker
    worker.stop(1.0, then=lambda: None)


class Events(list):
    """What has happened, to be waited for."""

    def __init__(self):
        self._changed = threading.Condition()

    def add(self, event):
        """Note an event."""
        with self._changed:
            self.append(event)
            self._changed.notify_all()

    def wait(self, count):
        """Wait until there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= count, 5.0), list(self)


def raising(error):
    """A step that raises."""

    def step():
        raise error

    return step


def test_what_fails_costs_its_own_frame_only(worker):
    """In the network or after it, with an error of a frame or any other."""
    events = Events()
    fault = FrameError('dark', 'too dark')
    for estimate in (raising(fault), lambda: raising(fault), raising(ZeroDivisionError('by 0'))):
        worker.lane.put(Job(estimate, lambda err: events.add((err.cause, str(err)))), 0)
        worker.lane.put(Job(lambda: lambda: events.add('done'), None), 0)
    events.wait(6)
    assert events == [
        *(('dark', 'too dark'), 'done', ('dark', 'too dark'), 'done'),
        *(('internal_error', 'ZeroDivisionError: by 0'), 'done'),
    ]


@pytest.mark.parametrize('where', ['the network', 'publishing'])
def test_a_report_that_fails_holds_nobody_up(worker, where):
    """Where logging raises while a frame is dropped, the next frames are worked on."""
    events = Events()
    step = raising(FrameError('dark', 'too dark'))
    drop = raising(ValueError('Logger severity cannot be changed between calls.'))
    for _ in range(3):  # more than there are threads
        job = Job(step if where == 'the network' else lambda: step, lambda err: drop())
        worker.lane.put(job, 0)
    worker.lane.put(Job(lambda: lambda: events.add('done'), None), 0)
    events.wait(1)


def test_dead_threads_are_replaced_until_it_is_hopeless(worker, caplog):
    """So often after each beginning."""
    caplog.set_level(logging.ERROR)
    for _ in range(2):
        for restart in range(MAX_RESTARTS + 1):
            events = Events()
            worker.lane.put(Job(raising(SystemExit('gone')), lambda e: events.add(e.cause)), 0)  # noqa: B023
            events.wait(1)
            for thread in threading.enumerate():
                if isinstance(thread, NetworkThread):
                    thread.join(5.0)
            assert events == ['worker_died']
            assert worker.revive() == (restart < MAX_RESTARTS)
        worker.begin()
    assert len(caplog.records) == 2 * MAX_RESTARTS


def test_nothing_is_closed_under_a_frame(worker):
    """`stop` does not wait for the network, and what ends the engine waits for it."""
    inside, leave, events = threading.Event(), threading.Event(), Events()

    def estimate():
        inside.set()
        assert leave.wait(5.0)
        events.add('left')

    worker.lane.put(Job(estimate, None), 0)
    assert inside.wait(5.0)
    worker.stop(0.1, then=lambda: events.add('closed'))
    assert events == []
    leave.set()
    events.wait(2)
    assert events == ['left', 'closed']


def test_what_waits_is_not_begun_once_it_is_stopped():
    """And where nothing is in work, all is over when `stop` returns."""
    worker, events = Worker(), Events()
    worker.begin()
    lane = worker.queue.add_lane(keep_all=True, max_bytes=100)
    lane.put(Job(lambda: events.add('begun'), None), 0)
    worker.stop(5.0, then=lambda: events.add('closed'))
    assert events == ['closed']
