# SPDX-License-Identifier: Apache-2.0
"""The command line: depth-pcd convert, evaluate, calibrate-scale, view, replay, doctor and more."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from depth_pcd_ros import __version__
from depth_pcd_ros.arguments import number, positive, size
from depth_pcd_ros.calibrate.options import add_options as add_calibrate_options
from depth_pcd_ros.convert.options import add_options
from depth_pcd_ros.errors import DepthPcdError, DeviceLostError
from depth_pcd_ros.evaluate.options import add_options as add_evaluate_options
from depth_pcd_ros.networks.models import MODELS
from depth_pcd_ros.settings import Settings

MODEL_HELP = f'{", ".join(MODELS)}, or the path of a file'


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; return the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.

    SIGTERM ends it with 143, as tidily as Ctrl-C.
    """
    args = parser().parse_args(argv)
    # Before torch is loaded: its threads would spin, and keep the cores from reading and writing.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    log = logging.getLogger('depth_pcd_ros')
    handler = logging.StreamHandler()  # to stderr
    handler.setFormatter(logging.Formatter('depth-pcd: %(message)s'))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    sent: list[int] = []

    def end(number: int, _: object) -> None:
        sent.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before: dict[int, Any] = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, say
        before[signal.SIGINT] = signal.signal(signal.SIGINT, end)
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    except Exception as err:
        if sent:  # a compiled library has made this of it: torch a ValueError, others ImportError
            return 128 + sent[-1]
        if not isinstance(err, DepthPcdError):
            raise
        print(f'depth-pcd {args.command}: {err}', file=sys.stderr)
        return 1 if isinstance(err, DeviceLostError) else int(args.refused)
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
    return code


def _fetch(args: argparse.Namespace) -> int:
    from depth_pcd_ros.networks.checkpoints import resolve

    checkpoint = resolve(args.model)
    print(checkpoint.path)
    print(checkpoint.licence_note, file=sys.stderr)
    return 0


def _build(args: argparse.Namespace) -> int:
    import numpy as np

    from depth_pcd_ros import engine
    from depth_pcd_ros.geometry.camera import Camera
    from depth_pcd_ros.settings import EngineSettings

    width, height = args.image
    camera = Camera(width, height, 500.0, 500.0, (width - 1) / 2, (height - 1) / 2)
    names = ('model', 'max_depth', 'input_size', 'device', 'precision')
    made = engine.create(EngineSettings(**{name: getattr(args, name) for name in names}))
    made.infer(np.zeros((height, width, 3), np.uint8), camera)
    off = f', difference from fp32: {made.proof}' if made.proof else ''
    print(f'{made.model} for {width}x{height} on {made.device} in {made.precision}{off}')
    made.close()
    return 0


def _export(args: argparse.Namespace) -> int:
    from depth_pcd_ros.networks.checkpoints import of_settings
    from depth_pcd_ros.settings import EngineSettings

    if args.output.suffix != '.onnx':  # a photo, say, would be lost
        raise DepthPcdError(f'-o is {args.output}, expected a name that ends with .onnx')
    width, height = args.image
    network = of_settings(EngineSettings(args.model, args.max_depth, args.input_size))
    size = network.network_size(height, width)
    try:
        from depth_pcd_ros.engine.onnx.write import write  # torch, only now

        difference = write(network, size, args.output, args.precision)
    except ImportError as err:
        raise DepthPcdError(f'needs torch: {err}') from err
    except OSError as err:
        raise DepthPcdError(str(err)) from err
    print(args.output)
    print(
        f'picture (1, 3, {size[0]}, {size[1]}): (RGB / 255 - {list(network.mean)}) / '
        f'{list(network.std)}; off torch in fp32 by {difference:.1e} of the depth on average',
        file=sys.stderr,
    )
    return 0


def _convert(args: argparse.Namespace) -> int:
    from depth_pcd_ros.convert.command import main as convert  # only this command needs the rest

    return convert(args)


def _evaluate(args: argparse.Namespace) -> int:
    from depth_pcd_ros.evaluate.command import main as evaluate

    return evaluate(args)


def _calibrate_scale(args: argparse.Namespace) -> int:
    from depth_pcd_ros.calibrate.command import main as calibrate

    return calibrate(args)


@contextmanager
def _naming(recording: Path) -> Iterator[None]:
    """Tell of which recording an error is."""
    from depth_pcd_ros.recordings.reader import RecordingError

    try:
        yield
    except RecordingError as err:
        raise RecordingError(f'{recording}: {err}') from err


def _view(args: argparse.Namespace) -> int:
    from depth_pcd_ros.recordings.clouds import recorded_clouds
    from depth_pcd_ros.recordings.reader import open_recording
    from depth_pcd_ros.show.view import clouds_of_files, view

    def say(sentence: str) -> None:
        print(f'depth-pcd view: {args.file}: {sentence}', file=sys.stderr)

    with _naming(args.file), ExitStack() as stack:
        path = _recording_to_view(args.file)
        if path is not None:
            recording = stack.enter_context(open_recording(path, say))
            clouds = recorded_clouds(recording, args.topic)
            for problem in recording.damage:
                say(problem)
        else:
            clouds = clouds_of_files(args.file)
        view(clouds, args.file.name, args.port, lambda address: print(address, flush=True))
    return 0


def _recording_to_view(path: Path) -> Path | None:
    """Return the path of a recording, or of the only one in a folder without files of clouds."""
    from depth_pcd_ros.files.clouds import READERS
    from depth_pcd_ros.inputs.sources import is_recording

    if is_recording(path):
        return path
    if not path.is_dir() or any(file.suffix in READERS for file in path.rglob('*')):
        return None
    found = [one for one in sorted(path.iterdir()) if is_recording(one)]
    return found[0] if len(found) == 1 else None


def _replay(args: argparse.Namespace) -> int:
    if args.find_camera is None:
        from depth_pcd_ros.ros.replay import main as replay  # only this needs ROS

        return replay(args)
    from depth_pcd_ros.recordings.topics import find_camera

    with _naming(args.recording):
        found = find_camera(args.recording, args.find_camera)
    for name, value in found.items():
        print(f'{name}:={value}')
    return 0


def _doctor(args: argparse.Namespace) -> int:
    no_ros = ''
    try:  # first of all, since the ROS wheels restart Python
        from depth_pcd_ros.ros import doctor, watch
    except ImportError as err:
        no_ros = str(err)
    if args.watch and not no_ros:
        watch.watch()
        return 0
    from depth_pcd_ros.live.machine import describe, export_line
    from depth_pcd_ros.networks.checkpoints import before_download
    from depth_pcd_ros.settings import EngineSettings

    before_download(EngineSettings(args.model))  # what is no model makes no command
    for name, sentence in describe(args.model).items():
        print(f'{name}: {sentence}')
    if line := export_line():
        print(f'  for the camera and for the node: {line}')
    if no_ros:
        print(
            f'ROS: not here ({no_ros}), so no camera was looked for: source its setup.bash, or '
            'take the set-up of docs/install.md without ROS'
        )
        return 1
    cameras, usable = doctor.report(args.seconds, args.model)
    print(cameras)
    return 0 if usable else 1


def _set(args: argparse.Namespace) -> int:
    try:
        from depth_pcd_ros.ros.set_parameter import main as set_parameter
    except ImportError as err:
        print(f'depth-pcd set: ROS is not here ({err})', file=sys.stderr)
        return 1
    return set_parameter(args)


def _add_network_options(command: argparse.ArgumentParser) -> None:
    """Add a model and what there is to say of it for pictures of one size."""
    command.add_argument('model', help=MODEL_HELP)
    command.add_argument('--input-size', type=int, default=0, metavar='PX', help='as the node')
    command.add_argument('--max-depth', type=float, default=0.0, metavar='M', help='as the node')
    command.add_argument(
        '--image',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='size of the pictures (default: 640x480)',
    )


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # numbers such as -1e-3, which are options to argparse; it has no public way
        self._negative_number_matcher = re.compile(r'-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$', re.I)

    def error(self, message: str) -> NoReturn:
        """Tell it in a line; the names of all options would hide it."""
        self.exit(2, f'{self.prog}: {message} ({self.prog} --help explains all)\n')


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog='depth-pcd', description='Metric point clouds from any camera.')
    parser.add_argument('--version', action='version', version=__version__)
    parser.set_defaults(refused=1)  # exit code of an error
    commands = parser.add_subparsers(required=True, metavar='COMMAND', dest='command')

    fetch = commands.add_parser(
        'fetch', help='download a model, print its path on stdout and its licence on stderr'
    )
    fetch.add_argument('model', help=MODEL_HELP)
    fetch.set_defaults(run=_fetch)

    build = commands.add_parser(
        'build', help='download, convert and prove a model beforehand: the first start is quick'
    )
    _add_network_options(build)
    build.add_argument('--device', default=Settings.device, help='as the node')
    build.add_argument(
        '--precision', default='auto', choices=('auto', 'fp32', 'fp16', 'bf16'), help='as the node'
    )
    build.set_defaults(run=_build)

    export = commands.add_parser(
        'export', help='write a model as ONNX for pictures of one size, compared with torch'
    )
    _add_network_options(export)
    export.add_argument('-o', '--output', type=Path, required=True, metavar='FILE')
    export.add_argument(
        '--precision', choices=('fp32', 'fp16'), default='fp32', help='default: fp32'
    )
    export.set_defaults(run=_export)

    convert = commands.add_parser(
        'convert', help='photos, videos and recordings to point clouds; no ROS needed'
    )
    add_options(convert)
    convert.set_defaults(run=_convert, refused=2)

    evaluate = commands.add_parser(
        'evaluate', help='how good the depth is, against the truth in a recording or folder'
    )
    add_evaluate_options(evaluate)
    evaluate.set_defaults(run=_evaluate, refused=2)

    calibrate = commands.add_parser(
        'calibrate-scale', help='find the constant depth_scale from what is known to be true'
    )
    add_calibrate_options(calibrate)
    calibrate.set_defaults(run=_calibrate_scale, refused=2)

    view = commands.add_parser(
        'view', help='show clouds in the browser, served to this machine only, until Ctrl-C'
    )
    view.add_argument(
        'file',
        type=Path,
        help='.ply, .pcd, .las or .npz of convert, a folder of them, or a recording',
    )
    view.add_argument('--topic', default='', help='of the clouds in a recording')
    view.add_argument(
        '--port',
        type=number(int, 1, 2**16 - 1),
        default=8080,
        help='default: 8080, or the next free one',
    )
    view.set_defaults(run=_view)

    replay = commands.add_parser(
        'replay', help='publish a rosbag2 recording on its topics, at its own pace'
    )
    replay.add_argument('recording', type=Path, help='folder of the recording, mcap or sqlite3')
    replay.add_argument('--rate', type=positive, default=1.0, help='factor on the pace')
    replay.add_argument('--loop', action='store_true', help='start again at the end, for ever')
    replay.add_argument('--clock', action='store_true', help="publish the recording's time")
    replay.add_argument('--topics', nargs='+', metavar='TOPIC', help='only these topics')
    replay.add_argument(
        '--wait',
        type=number(float, 0),
        default=30.0,
        metavar='SECONDS',
        help='how long the first message waits for subscribers (default: 30)',
    )
    replay.add_argument(
        '--wait-for',
        nargs='+',
        metavar='TOPIC',
        help='topics that need a subscriber before the first message, for that long at most',
    )
    replay.add_argument(
        '--find-camera',
        nargs='*',
        metavar='NAME',
        help='print which topics the pictures are on, of several cameras by their names, as '
        'arguments of ros2 launch, and end',
    )
    replay.set_defaults(run=_replay)

    doctor = commands.add_parser(
        'doctor',
        help='the cameras that are there, whether the node can use them, and how to start it',
    )
    doctor.add_argument(
        '--seconds', type=positive, default=4.0, help='how long to listen (default: 4)'
    )
    doctor.add_argument(
        '--model',
        default=Settings.model,
        help=f'the one that the node shall have (default: {Settings.model})',
    )
    doctor.add_argument(
        '--watch', action='store_true', help='show the diagnostics of running nodes, until Ctrl-C'
    )
    doctor.set_defaults(run=_doctor)

    setter = commands.add_parser('set', help='change a parameter of a running node')
    setter.add_argument('name', help='such as edge_filter')
    setter.add_argument('value', help='such as 84')
    setter.add_argument('--node', default='/depth_pcd', help='default: /depth_pcd')
    setter.set_defaults(run=_set)
    return parser


if __name__ == '__main__':
    sys.exit(main())
