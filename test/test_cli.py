# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole; its sub-commands have tests of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depth_pcd_ros import __version__, cli
from depth_pcd_ros.cli import main
from depth_pcd_ros.errors import DepthPcdError

ROOT = Path(__file__).resolve().parent.parent


def test_version(capsys):
    """The package's version."""
    with pytest.raises(SystemExit) as info:
        main(['--version'])
    assert info.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize('arguments', [[], ['conver'], ['convert'], ['view'], ['fetch']])
def test_usage(arguments, capsys):
    """Without a known sub-command and what it needs, exit code 2 and one line."""
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith('depth-pcd')


@pytest.mark.parametrize(
    'command', ['convert', 'view', 'replay', 'fetch', 'export', 'doctor', 'set']
)
def test_help(command, capsys):
    """Each sub-command explains itself and is listed."""
    for arguments in (['--help'], [command, '--help']):
        with pytest.raises(SystemExit) as info:
            main(arguments)
        assert info.value.code == 0
        assert command in capsys.readouterr().out


@pytest.mark.parametrize('number', ['-5', '-0.5', '-5.', '-.5', '-1e-3', '-2.5E+1'])
def test_negative_numbers_are_no_options(number):
    """However they are written."""
    args = cli.parser().parse_args(['set', 'camera_pitch', number])
    assert float(args.value) == float(number)
    place = ['0', number, '0', '0', '0', '0', '1']
    args = ['convert', 'a', '-o', 'out', '--scale-transform', *place, '--hfov', '60']
    args = cli.parser().parse_args(args)
    assert args.scale_transform[1] == float(number)
    assert args.hfov == 60.0


@pytest.mark.parametrize('command', [['replay', 'x'], ['calibrate-scale', '--distance', '2']])
@pytest.mark.parametrize('seconds', ['nan', '-1', 'long'])
def test_how_long_to_wait(command, seconds, capsys):
    """What is no time is refused: nan would wait for ever."""
    with pytest.raises(SystemExit) as info:
        main([*command, '--wait', seconds])
    assert info.value.code == 2
    assert 'argument --wait: ' in capsys.readouterr().err


def test_export_writes_over_no_other_file(tmp_path, capsys):
    """A name that is none of ONNX is a slip of the hand."""
    (tmp_path / 'photo.png').write_bytes(b'mine')
    assert main(['export', 'demo', '-o', str(tmp_path / 'photo.png')]) == 1
    assert 'expected a name that ends with .onnx' in capsys.readouterr().err
    assert (tmp_path / 'photo.png').read_bytes() == b'mine'


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('error', [ValueError, DepthPcdError])
def test_a_library_makes_another_error_of_a_signal(monkeypatch, capsys, error, number, code):
    """As torch does in the midst of a checkpoint, which was called damaged then."""

    def interrupted(args):
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            os.kill(os.getpid(), number)
            time.sleep(10.0)
        raise error('could not determine the shape')

    monkeypatch.setattr(cli, '_fetch', interrupted)
    assert main(['fetch', 'demo']) == code
    assert not capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_rule_for_signals(monkeypatch, number, code):
    """Whatever a sub-command does; afterwards signals are handled as before."""

    def interrupted(args):
        os.kill(os.getpid(), number)
        time.sleep(10.0)

    monkeypatch.setattr(cli, '_fetch', interrupted)
    before = signal.getsignal(signal.SIGTERM)
    try:
        found = main(['fetch', 'demo'])
    except SystemExit as err:
        found = err.code
    assert found == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_fetch_of_a_file(tmp_path, capsys):
    """The path on stdout, the licence on stderr; a file that is not there is refused."""
    path = tmp_path / 'depth_anything_v2_metric_vkitti_vits.pth'
    assert main(['fetch', str(path)]) == 1
    assert str(path) in capsys.readouterr().err
    path.touch()
    assert main(['fetch', str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(path)
    assert 'Apache-2.0' in err


def test_starts_light():
    """Neither ROS, torch nor OpenCV is loaded before a sub-command needs it."""
    code = (
        'import sys, depth_pcd_ros.cli\n'
        'print([m for m in ("rclpy", "torch", "cv2", "numpy", "rosbags") if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == '[]'
