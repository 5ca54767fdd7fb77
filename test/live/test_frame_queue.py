# SPDX-License-Identifier: Apache-2.0
"""The queue between the receiving and the working thread."""

import threading

from depth_pcd_ros.live.frame_queue import FrameQueue


def test_newest_frame_wins():
    """Without `keep_all` one frame waits, and a newer one replaces it."""
    queue = FrameQueue(keep_all=False, max_bytes=0)
    queue.open()
    assert queue.put('a', 10) is None
    assert queue.put('b', 10) == 'a'
    assert len(queue) == 1
    assert queue.get() == 'b'
    assert queue.put('c', 10) is None


def test_all_frames_in_order_up_to_the_bound():
    """With `keep_all` the order stays, and a frame beyond the bound is handed back."""
    queue = FrameQueue(keep_all=True, max_bytes=25)
    queue.open()
    assert [queue.put(name, 10) for name in 'abc'] == [None, None, 'c']
    assert queue.get() == 'a'
    assert queue.put('d', 10) is None
    assert [queue.get(), queue.get()] == ['b', 'd']


def test_a_frame_larger_than_the_bound_passes_alone():
    """The first waiting frame always fits."""
    queue = FrameQueue(keep_all=True, max_bytes=5)
    queue.open()
    assert queue.put('large', 10) is None
    assert queue.put('small', 1) == 'small'
    assert queue.get() == 'large'


def test_frames_wait_until_the_queue_is_opened():
    """A shut queue keeps `get` waiting; opening it lets the frames through."""
    queue = FrameQueue(keep_all=True, max_bytes=100)
    queue.put('a', 10)
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    queue.open()
    thread.join(5.0)
    assert got == ['a']


def test_close_ends_the_waiting():
    """`close` makes a waiting `get` return None and drops what waits."""
    queue = FrameQueue(keep_all=True, max_bytes=100)
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    queue.put('a', 10)
    queue.put('b', 10)
    assert not queue.closed
    assert queue.close() == 2
    assert queue.closed
    thread.join(5.0)
    assert got == [None]
    assert queue.get() is None
    assert len(queue) == 0
