# SPDX-License-Identifier: Apache-2.0
"""Keep the demo's and the tests' topics on this machine, apart from those of other programs."""

import contextlib
import fcntl
import os
import re
from pathlib import Path

from depth_pcd_ros.environment import PROFILE_VARIABLES, for_large_messages

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'


def isolate() -> None:
    """Set the environment of ROS for this process and its children; before rclpy.init.

    What it sets for malloc reaches the children only.
    """
    for name in PROFILE_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(for_large_messages(str(PROFILE)))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)


def remove_leftovers() -> int:
    """Remove what killed processes have left of Fast DDS's shared memory, 64 MB each.

    The owner of a segment holds a lock on the file beside it for as long as it lives. This is what
    `fastdds shm clean` does, where that is installed.

    Returns:
        How many segments were removed.
    """
    removed = 0
    for lock in Path('/dev/shm').glob('fast*_el'):
        if not re.fullmatch('fast(dds|rtps)_[0-9a-f]{16}_el', lock.name):
            continue
        with contextlib.suppress(OSError), lock.open() as file:  # OSError: it is in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix('_el')).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
            removed += 1
    return removed
