# SPDX-License-Identifier: Apache-2.0
"""Keep the demo's and the tests' topics on this machine, apart from those of other programs."""

import atexit
import contextlib
import fcntl
import os
import re
import socket
from pathlib import Path

from depth_pcd_ros.live.environment import PROFILE_VARIABLES, for_large_messages

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'
DOMAINS = 100  # from 1; the ports of higher ones are those that the system hands out


def isolate() -> None:
    """Set the environment of ROS for this process and its children; before rclpy.init.

    What it sets for malloc reaches the children only.
    """
    for name in PROFILE_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(for_large_messages(str(PROFILE)))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(claim_domain())


def claim_domain() -> int:
    """Return a domain that is nobody else's until this process ends.

    Tests run side by side, and some of them start the demo, which has a domain of its own.

    Raises:
        OSError: all are claimed.
    """
    for number in range(os.getpid(), os.getpid() + DOMAINS):
        domain = 1 + number % DOMAINS
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0depth_pcd_ros.domain.{domain}')  # in no folder: it ends with the process
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)
        return domain
    raise OSError(f"each of the ROS domains 1 to {DOMAINS} is another test's or demo's")


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
