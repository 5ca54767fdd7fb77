# SPDX-License-Identifier: Apache-2.0
"""The queue between the receiving and the working threads."""

import threading

from depth_pcd_ros.live.frame_queue import FrameQueue


def one_lane(*, keep_all=True, max_bytes=100):
    """A queue with one open lane."""
    queue = FrameQueue()
    lane = queue.add_lane(keep_all=keep_all, max_bytes=max_bytes)
    lane.open()
    return queue, lane


def test_newest_frame_wins():
    """Without `keep_all` one frame waits, and a newer one replaces it."""
    queue, lane = one_lane(keep_all=False, max_bytes=0)
    assert lane.put('a', 10) is None
    assert lane.put('b', 10) == 'a'
    assert len(lane) == 1
    assert queue.get() == ['b']
    assert lane.put('c', 10) is None


def test_all_frames_in_order_up_to_the_bound():
    """With `keep_all` the order stays, and a frame beyond the bound is handed back."""
    queue, lane = one_lane(max_bytes=25)
    assert [lane.put(name, 10) for name in 'abc'] == [None, None, 'c']
    assert queue.get() == ['a']
    assert lane.put('d', 10) is None
    assert [queue.get(), queue.get()] == [['b'], ['d']]


def test_a_frame_larger_than_the_bound_passes_alone():
    """The first waiting frame always fits."""
    queue, lane = one_lane(max_bytes=5)
    assert lane.put('large', 10) is None
    assert lane.put('small', 1) == 'small'
    assert queue.get() == ['large']


def test_lanes_take_turns():
    """A camera with many frames does not keep another's waiting."""
    queue, fast = one_lane()
    slow = queue.add_lane(keep_all=False, max_bytes=0)
    slow.open()
    for name in 'abcd':
        fast.put(name, 1)
    slow.put('1', 1)
    assert [queue.get()[0] for _ in range(3)] == ['a', '1', 'b']
    slow.put('2', 1)
    assert [queue.get()[0] for _ in range(3)] == ['2', 'c', 'd']


def test_frames_wait_until_the_lane_is_opened():
    """A shut lane keeps `get` waiting, and no other lane; opening it lets the frames through."""
    queue, other = one_lane()
    lane = queue.add_lane(keep_all=True, max_bytes=100)
    lane.put('a', 10)
    other.put('of the other', 10)
    assert queue.get() == ['of the other']
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    lane.open()
    thread.join(5.0)
    assert got == [['a']]


def test_a_closed_lane_gives_nothing_more():
    """`close` of a lane drops what waits in it, and what comes after; the queue goes on."""
    queue, lane = one_lane()
    other = queue.add_lane(keep_all=True, max_bytes=100)
    other.open()
    for name in 'ab':
        lane.put(name, 10)
    assert not lane.closed
    assert lane.close() == 2
    assert lane.closed
    assert len(lane) == 0
    lane.put('c', 10)
    other.put('d', 10)
    assert queue.get() == ['d']


def test_close_ends_the_waiting():
    """`close` of the queue makes a waiting `get` return none, whatever waits."""
    queue = FrameQueue()
    lane = queue.add_lane(keep_all=True, max_bytes=100)
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    lane.put('a', 10)
    assert not queue.closed
    queue.close()
    assert queue.closed
    thread.join(5.0)
    assert got == [[]]
    lane.open()
    assert queue.get() == []


def test_frames_of_one_kind_come_together():
    """As many as are asked for, each lane in its turn; without a kind, by itself."""
    queue, first = one_lane()
    second, third = (queue.add_lane(keep_all=True, max_bytes=100) for _ in range(2))
    shut = queue.add_lane(keep_all=True, max_bytes=100)
    shut.put('shut', 1, 'vga')
    for lane, names in ((first, 'abc'), (second, '12'), (third, 'xyz')):
        lane.open()
        for name in names:
            lane.put(name, 1, {'1': 'hd', 'y': None, 'z': None}.get(name, 'vga'))
    assert queue.get(4) == ['a', 'x', 'b', 'c']
    assert queue.get(4) == ['1']
    assert queue.get(4) == ['y']
    assert queue.get(4) == ['2']
    assert queue.get(4) == ['z']
