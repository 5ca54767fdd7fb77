# SPDX-License-Identifier: Apache-2.0
"""The working threads, with jobs that stand for frames."""

import logging
import threading
import time

import pytest

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.live.worker import MAX_RESTARTS, Job, NetworkThread, Worker


@pytest.fixture
def worker():
    """A worker that has begun, with an open lane."""
    worker = Worker(list)
    worker.begin()
    worker.lane = worker.queue.add_lane(keep_all=True, max_bytes=100)
    worker.lane.open()
    yield worker
    worker.stop(1.0, then=lambda: None)


def job(estimate, drop):
    """A job whose preparation returns what finishes it; the network, `list`, leaves it as it is."""
    return Job(estimate, lambda finish: finish(), drop)


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
        worker.lane.put(job(estimate, lambda err: events.add((err.cause, str(err)))), 0)
        worker.lane.put(job(lambda: lambda: events.add('done'), None), 0)
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
    for _ in range(4):  # more than there are threads
        failing = job(step if where == 'the network' else lambda: step, lambda err: drop())
        worker.lane.put(failing, 0)
    worker.lane.put(job(lambda: lambda: events.add('done'), None), 0)
    events.wait(1)


def test_dead_threads_are_replaced_until_it_is_hopeless(worker, caplog):
    """So often after each beginning."""
    caplog.set_level(logging.ERROR)
    for _ in range(2):
        for restart in range(MAX_RESTARTS + 1):
            events = Events()
            worker.lane.put(job(raising(SystemExit('gone')), lambda e: events.add(e.cause)), 0)  # noqa: B023
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

    worker.lane.put(job(estimate, None), 0)
    assert inside.wait(5.0)
    worker.stop(0.1, then=lambda: events.add('closed'))
    assert events == []
    leave.set()
    events.wait(2)
    assert events == ['left', 'closed']


def test_what_waits_is_not_begun_once_it_is_stopped():
    """And where nothing is in work, all is over when `stop` returns."""
    worker, events = Worker(list), Events()
    worker.begin()
    lane = worker.queue.add_lane(keep_all=True, max_bytes=100)
    lane.put(job(lambda: events.add('begun'), None), 0)
    worker.stop(5.0, then=lambda: events.add('closed'))
    assert events == ['closed']


@pytest.fixture
def batches():
    """What a worker of at most three at once has given to its network, and the worker."""
    seen = []

    def estimate(prepared):
        seen.append(prepared)
        if 'bad' in prepared:
            raise FrameError('not_finite', 'NaN')
        return [one.upper() for one in prepared]

    worker = Worker(estimate, 3)
    worker.lanes = [worker.queue.add_lane(keep_all=True, max_bytes=100) for _ in range(5)]
    yield worker, seen
    worker.stop(1.0, then=lambda: None)


def test_frames_of_one_kind_go_together_where_they_are_there(batches):
    """Up to `max_batch`, in turns; each is finished by its own job with its own result."""
    worker, seen = batches
    events = Events()
    for lane, name, kind in zip(worker.lanes, 'abcde', (1, 2, 1, 1, 1), strict=True):
        finish = lambda found, name=name: events.add((name, found))  # noqa: E731
        lane.put(Job(lambda name=name: name, finish, None), 0, kind)
        lane.open()
    worker.begin()
    events.wait(5)
    assert seen == [['a', 'c', 'd'], ['b'], ['e']]
    assert events == [(name, name.upper()) for name in 'acdbe']


def test_one_of_several_that_fails_costs_only_itself(batches):
    """In the network, before or after it, or where nobody wants it."""
    worker, seen = batches
    events = Events()
    fails = raising(FrameError('torn', 'too few bytes'))
    names = ['bad', 'good', fails, None, 'last']
    for lane, name in zip(worker.lanes, names, strict=True):
        prepare = name if callable(name) else lambda name=name: name
        lane.put(Job(prepare, events.add, lambda err: events.add(err.cause)), 0, 'kind')
        lane.open()
    worker.begin()
    events.wait(4)
    assert seen == [['bad', 'good'], ['bad'], ['good'], ['last']]
    assert events == ['torn', 'not_finite', 'GOOD', 'LAST']


def test_a_frame_is_prepared_while_another_is_in_the_network():
    """Decoding, and waiting for a CameraInfo, cost the network nothing; the order is kept."""
    prepared, events = threading.Event(), Events()

    def estimate(frames):
        if frames == ['zeroth']:
            time.sleep(0.1)  # longer than what comes after it
        if frames == ['first']:
            assert prepared.wait(5.0)
        return frames

    def second():
        prepared.set()
        return 'second'

    worker = Worker(estimate)
    worker.begin()
    lane = worker.queue.add_lane(keep_all=True, max_bytes=100)
    lane.open()
    # until one has passed, nothing tells how long the network takes: then none is taken early
    for number, prepare in enumerate((lambda: 'zeroth', lambda: 'first', second)):
        lane.put(Job(prepare, events.add, lambda err: events.add(str(err))), 0)
        if number == 0:
            events.wait(1)
    events.wait(3)
    assert events == ['zeroth', 'first', 'second']
    worker.stop(5.0, then=lambda: None)


def begun(estimate, events, count):
    """A worker, an open lane that keeps the newest only, and numbered jobs for it."""
    worker = Worker(estimate)
    worker.begin()
    lane = worker.queue.add_lane(keep_all=False, max_bytes=0)
    lane.open()
    jobs = [Job(lambda i=i: i, events.add, lambda err: events.add(str(err))) for i in range(count)]
    return worker, lane, jobs


def test_the_second_frame_is_not_taken_before_the_first_has_left_the_network():
    """Nothing tells yet how long that takes: a newer one may replace the second meanwhile."""
    inside, leave, events = threading.Event(), threading.Event(), Events()

    def estimate(frames):
        inside.set()
        assert leave.wait(5.0)
        return frames

    worker, lane, jobs = begun(estimate, events, 3)
    lane.put(jobs[0], 0)
    assert inside.wait(5.0)
    assert lane.put(jobs[1], 0) is None
    time.sleep(0.3)
    assert lane.put(jobs[2], 0) is jobs[1]
    leave.set()
    events.wait(2)
    assert events == [0, 2]
    worker.stop(5.0, then=lambda: None)


def test_a_frame_that_would_wait_for_the_network_gives_way_to_a_newer_one():
    """By what the network took before, it is not taken yet when the newer one comes."""
    leave, events = threading.Event(), Events()

    def estimate(frames):
        if frames == [0]:
            time.sleep(1.0)
        if frames == [1]:
            events.add('inside')
            assert leave.wait(5.0)
        return frames

    worker, lane, jobs = begun(estimate, events, 4)
    lane.put(jobs[0], 0)
    events.wait(1)
    lane.put(jobs[1], 0)
    events.wait(2)
    lane.put(jobs[2], 0)
    time.sleep(0.2)
    assert lane.put(jobs[3], 0) is jobs[2]
    leave.set()
    events.wait(4)
    assert events == [0, 'inside', 1, 3]
    worker.stop(5.0, then=lambda: None)
