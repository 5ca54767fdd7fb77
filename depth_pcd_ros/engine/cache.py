# SPDX-License-Identifier: Apache-2.0
"""Networks as other run-times read them: converted once, proven, and kept on disk. No torch.

The folder is `$DEPTH_PCD_ROS_CACHE`, else `depth_pcd_ros` in `$XDG_CACHE_HOME` or `~/.cache`. An
entry is a folder named for all that its content depends on, and is renamed to that once complete.
Whatever else is in the folder is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.resources
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from depth_pcd_ros import __version__
from depth_pcd_ros.engine import export
from depth_pcd_ros.engine.base import PROOF_SHAPE, EngineError, Floats, ProofError
from depth_pcd_ros.networks.checkpoints import sha256
from depth_pcd_ros.networks.family import CheckpointError, Family

if TYPE_CHECKING:
    from importlib.abc import Traversable

FOLDER_VARIABLE = 'DEPTH_PCD_ROS_CACHE'
MAX_ENTRIES = 8  # the ones used last stay
ENTRY = re.compile(r'.+-[0-9a-f]{20}')  # the names that `key_of` gives
MEMORY = '/dev/shm'  # Docker's has 64 MB
# The code that turns a checkpoint into a converted network.
SOURCES = ('networks', 'engine/export.py', 'engine/openvino', 'engine/onnx')

Made = TypeVar('Made')

log = logging.getLogger(__name__)


class NoTorchError(EngineError):
    """There is no torch, which what is asked for needs once."""


class _DamagedError(OSError):
    """An entry is not as it was written."""


def folder() -> Path:
    """Return the folder of the converted networks; it need not be there."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    try:
        return Path(base).expanduser() / 'depth_pcd_ros'
    except RuntimeError:  # a user without a home: no folder is safe
        return Path(os.devnull) / 'depth_pcd_ros'


@contextlib.contextmanager
def converted(network: Family, weights: str, onnx: tuple[int, int] | None = None) -> Iterator[Path]:
    """Yield the file of the converted network, converting it first if it is not cached.

    It is OpenVINO's XML, with the weights beside it, or ONNX, and may be read until the context
    ends.

    Where the folder cannot be written to, the network is converted each time, with a warning.

    Args:
        network: which one.
        weights: `fp32` or `fp16`, how they are stored; for ONNX, see `onnx.write.write`.
        onnx: for ONNX, height and width at the network [px]; None: OpenVINO, for any size.

    Raises:
        CheckpointError: the checkpoint is not what it should be.
        ProofError: what was written as ONNX gives another depth.
        EngineError: there is no torch to convert it, or no room anywhere.
    """
    entry = folder() / key_of(network, weights, onnx)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(folder()))
            path = _found(entry) or _made(network, weights, onnx, entry)
            _prune(folder(), keep=entry)
        except OSError as err:
            log.warning(
                'the converted network cannot be kept in %s (%s): each start converts it again, '
                'which takes seconds; %s names another folder',
                *(folder(), err.strerror or err, FOLDER_VARIABLE),
            )
            try:
                path = stack.enter_context(
                    _somewhere(lambda place: _made(network, weights, onnx, place / entry.name))
                )
            except OSError as again:
                raise EngineError(
                    f'there is no room for the converted network, neither in {folder()} nor in '
                    f'{tempfile.gettempdir()} ({again.strerror or again}); {FOLDER_VARIABLE} names '
                    'another folder, and the device cpu needs none'
                ) from again
        yield path


def place(network: Family) -> Path:
    """Return a folder for what is known of a network that torch itself runs.

    Where it cannot be written to, it need not be there.
    """
    entry = folder() / key_of(network, 'torch')
    with contextlib.suppress(OSError), _locked(folder()):
        entry.mkdir(exist_ok=True)
        os.utime(entry)
        _prune(folder(), keep=entry)
    return entry


def reference(network: Family, size: tuple[int, int]) -> Floats:
    """Return what the network gives in torch in fp32 for `proof.pictures`, in another process.

    Args:
        network: which one.
        size: height and width at which they enter it [px].

    Returns:
        (N, C, 240, 320) float32.

    Raises:
        CheckpointError: the checkpoint is not what it should be.
        NoTorchError: there is no torch.
        EngineError: there is no room.
    """

    def made(place: Path) -> Floats:
        _run_export(network, 'fp32', place, '--reference', size)
        found: Floats = np.load(place / export.reference_name(size, network.input_size))
        return found

    try:
        with _somewhere(made) as found:
            return found
    except OSError as err:
        raise EngineError(f'there is no room in {tempfile.gettempdir()} ({err})') from err


def key_of(network: Family, weights: str, onnx: tuple[int, int] | None = None) -> str:
    """Name the entry of a network: with the hash of all that it depends on."""
    sources = hashlib.sha256()
    package = importlib.resources.files('depth_pcd_ros')
    for source in SOURCES:
        for code in _code(package.joinpath(source)):
            sources.update(code)
    runtime = 'torch' if weights == 'torch' else 'openvino'
    parts = [
        *(sha256(network.path), network.name, network.max_depth, weights),
        *(__version__, sources.hexdigest()),
        *(('onnx', *onnx) if onnx is not None else (runtime, metadata.version(runtime))),
    ]
    name = network.path.stem[:80]  # for a person who looks into the folder
    return f'{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]}'


def _code(place: Traversable) -> Iterator[bytes]:
    """Yield the content of a module, or of all modules below a folder.

    Raises:
        EngineError: it is not there; the installation is damaged.
    """
    if place.is_file():
        yield place.read_bytes()
    elif place.is_dir():
        for inside in sorted(place.iterdir(), key=lambda inside: inside.name):
            if inside.is_dir() or inside.name.endswith('.py'):
                yield from _code(inside)
    else:
        raise EngineError(f'{place} is missing: the installation is damaged, install it again')


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Be the only process that changes the folder; a folder that cannot be changed needs no lock.

    Raises:
        OSError: the folder is not there and cannot be made.
    """
    cache.mkdir(parents=True, exist_ok=True)
    try:
        file = (cache / 'lock').open('a')
    except OSError:
        yield
        return
    with file:  # closing it unlocks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info('waiting for another process that converts a network')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _somewhere(make: Callable[[Path], Made]) -> Iterator[Made]:
    """Have what `make` puts into a folder: in memory, or on disk where that has no room for it.

    Raises:
        OSError: there is no room on disk, either.
    """
    for place in (MEMORY, None) if os.access(MEMORY, os.W_OK) else (None,):
        with tempfile.TemporaryDirectory(prefix='depth_pcd_ros-', dir=place) as name:
            try:
                made = make(Path(name))
            except OSError:
                if place is None:
                    raise
                continue
            yield made
            return


def _found(entry: Path) -> Path | None:
    if not entry.exists():
        return None
    try:
        return _read(entry)
    except _DamagedError as err:
        log.warning('%s: %s; it is made anew', entry, err)
        shutil.rmtree(entry)
        return None


def _made(network: Family, weights: str, onnx: tuple[int, int] | None, entry: Path) -> Path:
    """Convert a checkpoint in another process and put the result at `entry`.

    Raises:
        OSError: it cannot be written.
    """
    log.info('converting %s for %s, once ...', network.path, 'ONNX' if onnx else 'OpenVINO')
    before = sha256(network.path)
    for left in entry.parent.glob('*.part'):  # by a process that was ended
        if ENTRY.fullmatch(left.stem):
            shutil.rmtree(left)
    half = entry.with_name(f'{entry.name}.part')
    half.mkdir()
    try:
        _export(network, weights, onnx, half)
        if sha256(network.path) != before:
            raise CheckpointError(f'{network.path} was replaced while it was read; start again')
        sums = {path.name: _checksum(path) for path in half.iterdir()}
        (half / 'entry.json').write_text(json.dumps({'files': sums}))
        half.rename(entry)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return _read(entry)


def _export(network: Family, weights: str, onnx: tuple[int, int] | None, target: Path) -> None:
    if onnx is not None:
        _run_export(network, weights, target, '--onnx', onnx)
    elif weights == 'fp16':
        _run_export(network, weights, target, '--proof', network.network_size(*PROOF_SHAPE))
    else:  # not compared, on a CPU
        _run_export(network, weights, target)


def _run_export(
    network: Family, weights: str, target: Path, what: str = '', size: tuple[int, int] = (0, 0)
) -> None:
    arguments = [
        *(network.path, network.name, network.max_depth, network.input_size),
        *(target, weights),
    ]
    if what:
        arguments += [what, f'{size[0]}x{size[1]}']
    process = subprocess.Popen(
        [sys.executable, '-m', export.__name__, *map(str, arguments)],
        stdin=subprocess.PIPE,  # closes when this process ends, and so ends the other
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,  # Ctrl-C is for this process alone
    )
    with process:
        assert process.stdout is not None
        said = process.stdout.read().strip()
    if process.returncode == export.BAD_CHECKPOINT:
        raise CheckpointError(said)
    if process.returncode == export.REFUSED:
        raise EngineError(said)
    if process.returncode == export.WRONG:
        raise ProofError(said)
    if process.returncode == export.NO_ROOM:
        raise OSError(0, said.splitlines()[-1])
    if process.returncode == export.NO_TORCH:
        raise NoTorchError(
            f'converting {network.path} for OpenVINO needs torch, once ({said}); install torch, '
            f'or copy {folder()} from a machine where it was converted'
        )
    if process.returncode:
        raise EngineError(
            f'{network.path} could not be converted for OpenVINO: the converter ended with '
            f'{process.returncode}, see above; the device cpu does without'
        )


def _read(entry: Path) -> Path:
    """Check an entry, note that it was used, and return the file to read.

    Raises:
        _DamagedError: a file is missing or is not as it was written.
    """
    try:
        known = json.loads((entry / 'entry.json').read_text())
        for name, checksum in known['files'].items():
            if _checksum(entry / name) != checksum:
                raise _DamagedError(f'{name} is damaged')
    except (OSError, ValueError, KeyError) as err:
        raise _DamagedError(f'it is damaged ({type(err).__name__}: {err})') from err
    with contextlib.suppress(OSError):  # a folder of others
        os.utime(entry)
    onnx = entry / export.ONNX_FILENAME
    return onnx if onnx.exists() else entry / export.FILENAME


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open('rb') as file:
        while block := file.read(2**20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _prune(cache: Path, keep: Path) -> None:
    """Remove the entries that were not used for longest."""
    ours = (path for path in cache.iterdir() if ENTRY.fullmatch(path.name) and path.is_dir())
    entries = [path for path in ours if path != keep]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[MAX_ENTRIES - 1 :]:
        shutil.rmtree(path)
