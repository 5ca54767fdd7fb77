# SPDX-License-Identifier: Apache-2.0
"""Interrupt depth-pcd convert again and again, at random moments, and compare with one run.

    python -m test.support.interrupt [--times 50] [--seed 0]

Photos, a video and a recording are converted by forked processes, which start at once. Each is sent
SIGINT after a random time, sometimes twice, then --resume goes on, until it is let finish. Then the
files must be those of a run that was not interrupted.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is loaded, as convert does
os.environ['OMP_NUM_THREADS'] = '1'  # torch's last bits depend on how many there are

from depth_pcd_ros.cli import main as depth_pcd
from depth_pcd_ros.convert import command  # noqa: F401, in this process, so that forks are fast
from depth_pcd_ros.engine import torch_engine  # noqa: F401

from .converting import CAMERA, DEMO, contents, photos, video
from .recordings import cameras, record

MOST = 3  # interruptions before a run is let finish


def start(arguments: list[str], log: Path) -> int:
    """Run depth-pcd in a process of its own; return its id."""
    # held back until the new process can handle it: else it would go on as if it were this one
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return pid
    code = 130
    try:
        with log.open('a') as file:
            os.dup2(file.fileno(), 2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        code = depth_pcd(arguments)
    except KeyboardInterrupt:  # before or after its own handling
        pass
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Return the exit code of a process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def interrupted(arguments: list[str], log: Path, delays: list[float]) -> int:
    """Run, sending SIGINT after each of these times [s]; return the exit code."""
    pid = start(arguments, log)
    for delay in delays:
        time.sleep(delay)
        os.kill(pid, signal.SIGINT)  # it is not waited for yet, so the id is its own
    return wait(pid)


def check(arguments: list[str], folder: Path, times: int, chance: random.Random) -> list[float]:
    """Interrupt one kind of input; return the moments of the interruptions, as parts of a run.

    Raises:
        SystemExit: what came out differs, or an exit code is wrong.
    """
    log = folder / 'log.txt'
    begin = time.monotonic()
    if wait(start([*arguments, '-o', str(folder / 'once')], log)):
        raise SystemExit(log.read_text())
    duration = time.monotonic() - begin
    once = contents(folder / 'once')
    moments: list[float] = []
    attempt = 0
    while len(moments) < times:
        out = folder / f'out{attempt}'
        attempt += 1
        again = [*arguments, '-o', str(out), '--resume']
        for _ in range(chance.randint(1, MOST)):
            delays = [chance.uniform(0.0, duration)]
            if chance.random() < 0.3:
                delays.append(chance.uniform(0.0, 0.05))
            moments.append(delays[0] / duration)
            code = interrupted(again, log, delays)
            if code not in (0, 130):
                raise SystemExit(f'exit code {code} at {delays}:\n{log.read_text()}')
        if wait(start(again, log)):
            raise SystemExit(f'--resume has failed:\n{log.read_text()}')
        found = contents(out)
        if found != once:
            wrong = sorted(n for n in {**found, **once} if found.get(n) != once.get(n))
            raise SystemExit(f'{wrong} differ after interruptions at {moments[-MOST:]}')
    if 'Traceback' in log.read_text():
        raise SystemExit(log.read_text())
    return moments


def main() -> int:
    """Interrupt each kind of input that often."""
    parser = argparse.ArgumentParser(
        prog='python -m test.support.interrupt', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--times', type=int, default=50, help='interruptions of each kind')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inputs = {
            'photos': [photos(folder / 'photos', 40), *CAMERA, '--write', 'ply,npy'],
            'video': [video(folder / 'clip.avi', 40), *CAMERA, '--write', 'ply,depth'],
            'recording': [str(record(folder / 'rec', cameras(40))), '--copy', '--write', 'ply'],
        }
        for kind, arguments in inputs.items():
            results = folder / f'{kind}-results'
            results.mkdir()
            words = ['convert', *arguments, *DEMO, '--device', args.device]
            moments = check(words, results, args.times, chance)
            print(
                f'{kind}: {len(moments)} interruptions, at {min(moments):.2f} to '
                f'{max(moments):.2f} of a run: the same files as one run'
            )
    return 0


if __name__ == '__main__':
    sys.exit(main())
