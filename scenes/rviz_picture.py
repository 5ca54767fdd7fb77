# SPDX-License-Identifier: Apache-2.0
"""Take the README's picture of RViz with the demo: `python -m scenes.rviz_picture`.

RViz 2 is in no package index that needs no ROS, but Debian has the RViz of ROS 1, with the same
displays, messages and views. So the demo's recording becomes one of ROS 1, `rviz/depth_pcd.rviz` a
configuration of that RViz, and a window without a screen (Xvfb, software GL) is photographed.
"""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from scenes import recording
from scenes.demo import ROOT

# program: the Debian package that has it
PROGRAMS = {
    'rviz': 'rviz',
    'roscore': 'ros-core',
    'rosbag': 'python3-rosbag',
    'Xvfb': 'xvfb',
    'import': 'imagemagick',
}
SIZE = (1500, 860)  # px
MOMENT = ('--start', '2.0', '--duration', '0.3')  # [s] of the recording, over and over
PATIENCE = 120.0  # [s]; software GL on a busy machine
REMAPPED = {'/image': recording.IMAGE}  # topics of the configuration: those of the demo


def main() -> int:
    """Take the picture; return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m scenes.rviz_picture', description=__doc__)
    parser.add_argument('--demo', type=Path, default=ROOT / 'out' / 'demo', help='its results')
    parser.add_argument('--out', type=Path, default=ROOT / 'out' / 'rviz', help='folder')
    args = parser.parse_args()
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        print(
            f'rviz_picture: not installed: apt install --no-install-recommends {" ".join(missing)} '
            '(the RViz of ROS 1, as Debian 12 has it)',
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    config, bag, picture = (args.out / name for name in ('ros1.rviz', 'demo.bag', 'rviz.png'))
    ros1 = ros1_config(ROOT / 'rviz' / 'depth_pcd.rviz')
    ros1['Window Geometry'].update(X=0, Y=0, Width=SIZE[0], Height=SIZE[1])
    config.write_text(yaml.safe_dump(ros1))
    convert([args.demo / 'recording', args.demo], bag)
    try:
        with ros1_shows(config, bag, args.out) as environment:
            photograph(environment, picture)
    except RuntimeError as err:
        print(f'rviz_picture: {err}', file=sys.stderr)
        return 1
    print(f'Look at {picture}.')
    return 0


def ros1_config(path: Path) -> Any:
    """Translate the configuration of RViz 2 to that of RViz 1."""

    def translate(node: Any) -> Any:
        if isinstance(node, list):
            return [translate(element) for element in node]
        if not isinstance(node, dict):
            return node
        found = {key: translate(value) for key, value in node.items()}
        kind = str(found.get('Class', '')).split('/')
        if len(kind) == 2:
            found['Class'] = f'rviz/{kind[1]}'
        topic = found.get('Topic')
        if isinstance(topic, dict):
            name = 'Image Topic' if kind[-1] == 'Image' else 'Topic'
            del found['Topic']
            found[name] = REMAPPED.get(topic['Value'], topic['Value'])
        return found

    return translate(yaml.safe_load(path.read_text()))


def convert(recordings: list[Path], bag: Path) -> None:
    """Merge recordings into one of ROS 1."""
    program = Path(sys.executable).with_name('rosbags-convert')
    sources = [str(path) for path in recordings]
    command = [str(program), '--src', *sources, '--dst', str(bag)]
    command += ['--exclude-topic', recording.TRUTH, '--dst-typestore', 'ros1_noetic']
    subprocess.run(command, check=True)


@contextlib.contextmanager
def ros1_shows(config: Path, bag: Path, logs: Path) -> Iterator[dict[str, str]]:
    """Play a recording and show it in RViz; yields the environment with its screen."""
    with contextlib.ExitStack() as stack:
        screen, told = os.pipe()
        xvfb = ['Xvfb', '-displayfd', str(told), '-screen', '0', f'{SIZE[0]}x{SIZE[1]}x24']
        stack.enter_context(running([*xvfb, '-nolisten', 'tcp'], logs / 'xvfb.log', keep=told))
        os.close(told)
        with os.fdopen(screen) as file:
            number = file.readline().strip()
        if not number:
            raise RuntimeError(f'Xvfb does not start: {(logs / "xvfb.log").read_text()}')
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith('PYTHON')},
            'DISPLAY': f':{number}',
            'LIBGL_ALWAYS_SOFTWARE': '1',
            'QT_X11_NO_MITSHM': '1',
            'ROS_MASTER_URI': f'http://127.0.0.1:{free_port()}',
            'ROS_IP': '127.0.0.1',
            'ROS_HOME': str(logs / 'ros_home'),
            'HOME': str(logs),  # RViz keeps its settings there
            # the programs are the system's, not this environment's
            'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        }
        environment.pop('LD_LIBRARY_PATH', None)
        port = environment['ROS_MASTER_URI'].rsplit(':', 1)[1]
        for name, command in (
            ('roscore', ['roscore', '-p', port]),
            ('rosbag', ['rosbag', 'play', '--loop', '--quiet', *MOMENT, str(bag)]),
            ('rviz', ['rviz', '-d', str(config)]),
        ):
            stack.enter_context(running(command, logs / f'{name}.log', environment))
            if name == 'roscore':
                wait_for_port(int(port))
        yield environment


@contextlib.contextmanager
def running(
    command: list[str], log: Path, environment: dict[str, str] | None = None, keep: int = -1
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program and end it afterwards."""
    with log.open('wb') as file:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=() if keep < 0 else (keep,),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def photograph(environment: dict[str, str], picture: Path) -> None:
    """Take pictures of the screen until all is on it; keep the last, with fewer colours.

    Raises:
        RuntimeError: it does not come.
    """
    command = ['import', '-window', 'root', '-silent', str(picture)]
    end = time.monotonic() + PATIENCE
    seen = 0
    while time.monotonic() < end:
        time.sleep(2.0)
        subprocess.run(command, env=environment, check=True)
        seen = seen + 1 if shows_all(cv2.imread(str(picture))) else 0
        if seen == 3:  # RViz is steady
            subprocess.run(['convert', picture, '-colors', '256', f'png8:{picture}'], check=True)
            return
    raise RuntimeError(f'no cloud in RViz after {PATIENCE:g} s; see {picture} and the logs beside')


def shows_all(screen: np.ndarray) -> bool:
    """Tell whether there is colour in the 3D view and in the two pictures on the left."""
    height, width = screen.shape[:2]
    colourful = np.ptp(screen, axis=2) > 8
    left, right = slice(0, width // 4), slice(width // 3, width)
    parts = {
        'cloud': colourful[height // 6 :, right],
        'camera': colourful[2 * height // 5 : 3 * height // 5, left],
        'depth': colourful[3 * height // 4 : 9 * height // 10, left],
    }
    return all(part.mean() > 0.15 for part in parts.values())


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return int(found.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until somebody listens.

    Raises:
        RuntimeError: nobody does.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1.0):
            return
        time.sleep(0.2)
    raise RuntimeError('roscore does not start; see its log')


if __name__ == '__main__':
    sys.exit(main())
