# SPDX-License-Identifier: Apache-2.0
"""Find the files to convert from what was typed, and name their results.

It asks os.path what a path is: pathlib raises where that may not be known, as in lost+found.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.files.order import by_number
from depth_pcd_ros.files.whole_file import is_stored
from depth_pcd_ros.inputs.recording_files import is_recording_folder
from depth_pcd_ros.scale.messages import TOPICS

PHOTOS = (
    '.bmp', '.heic', '.heif', '.hif', '.jfif', '.jpe', '.jpeg', '.jpg', '.jp2', '.mpo', '.pgm',
    '.png', '.ppm', '.tif', '.tiff', '.webp',
)  # fmt: skip
VIDEOS = (
    '.3gp', '.avi', '.flv', '.lrv', '.m2ts', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg',
    '.mts', '.ogv', '.webm', '.wmv',
)  # fmt: skip
RECORDINGS = ('.bag', '.db3', '.mcap')
# One that was compressed as a whole, and one that was not closed.
UNUSUAL = ('.db3.zstd', '.mcap.zstd', '.bag.active')
# Pictures that `convert` writes: no photos, in whatever folder they are found.
RESULTS = ('.depth.png', '.preview.png')
# Object stores, and what reads them beside universal_pathlib; setup.py has an extra for each.
STORES = {'s3': 's3fs', 'gs': 'gcsfs'}
# What cameras write of a photo that is not developed.
RAW_PHOTOS = (
    '.arw', '.cr2', '.cr3', '.dng', '.gpr', '.nef', '.nrw', '.orf', '.pef', '.raf', '.raw', '.rw2',
    '.srw',
)  # fmt: skip


class InputsError(DepthPcdError):
    """The inputs cannot be converted as asked; the message says why."""


class Source(NamedTuple):
    """One input."""

    path: Path  # the file, see `located`; for a rosbag2 recording, possibly its folder
    # `photo`, `video`, `recording`, or `unknown` where it is none of these or not there; in a
    # store, whatever is no photo
    kind: str
    name: str  # of what comes of it, below the output folder and without an ending


def find(
    inputs: Sequence[str], out: Path, say: Callable[[str], None] = lambda _: None
) -> list[Source]:
    """List the files of files, folders (with all below them), globs and .txt lists, each once.

    The names are the paths below the deepest folder that holds all inputs, so that they differ
    wherever the paths do. Where only the endings differ, they stay in the names.

    Args:
        inputs: as typed; a list has a path a line, relative to the folder of the list.
        out: the output folder, absolute; what is in it is no input.
        say: gets which other files folders have.

    Raises:
        InputsError: nothing is found, a list or a store cannot be read, or `out` is a folder of the
            inputs.
    """
    files: dict[Path, None] = {}
    others: Counter[str] = Counter()
    roots = []
    for path in _expand(inputs):
        if not _is_folder(path) or _kind(path) == 'recording':
            files[path] = None
            roots.append(path.parent)
        elif path == out:
            raise InputsError(f'{path} is to be read and written: give another folder with -o')
        else:
            for file in _below(path, out):
                result = next((end for end in RESULTS if file.name.endswith(end)), '')
                is_other = result or _kind_of_name(file) == 'unknown'
                if is_other and (is_stored(file) or not os.path.isdir(file)):
                    others[result or file.suffix or file.name] += 1
                else:
                    files[file] = None
            roots.append(path)
    if others:
        kinds = ', '.join(f'{count} {ending}' for ending, count in sorted(others.items()))
        say(f'left out, because they are no photos, videos or recordings: {kinds}')
    if not files:
        raise InputsError(f'no photo, video or recording in {", ".join(inputs)}')
    root = _common(roots)
    stems = Counter(_stem(path) for path in files)

    def name(path: Path) -> str:
        stem = _stem(path)
        # a video would write into the results of a folder of the same name
        taken = stems[stem] > 1 or (stem != path and not is_stored(stem) and os.path.isdir(stem))
        return str(_below_all(path if taken else stem).relative_to(root))

    return [Source(path, _kind(path), name(path)) for path in files]


def _expand(inputs: Sequence[str]) -> Iterator[Path]:
    for text in inputs:
        path = located(text)
        if is_stored(path):
            yield from _expand_stored(path)
        elif path.suffix.lower() == '.txt' and os.path.isfile(path):
            yield from _listed(path)
        elif os.path.exists(path) or not glob.has_magic(text):
            yield path
        else:
            found = [
                absolute(Path(match))
                for match in glob.glob(os.path.expanduser(text), recursive=True)
            ]
            yield from sorted(found, key=by_number) or [path]


def _listed(path: Path) -> Iterator[Path]:
    try:
        lines = path.read_text('utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputsError(f'the list {path} cannot be read: {err}') from err
    for line in lines:
        if line.strip():
            is_address = '://' in line
            yield located(line.strip() if is_address else str(path.parent / line.strip()))


def _expand_stored(path: Any) -> Iterator[Path]:
    with telling(path):
        if path.exists() or not glob.has_magic(path.path):
            yield path
        else:
            found = map(type(path), path.fs.glob(str(path)))
            yield from sorted(found, key=lambda one: by_number(_below_all(one))) or [path]


def _below(folder: Path, out: Path) -> Iterator[Path]:
    """Yield the files of a folder, in the order of their numbers; a recording's folder is one."""
    if is_stored(folder):
        yield from _below_stored(folder, out)
        return
    try:
        paths = sorted(folder.iterdir(), key=by_number)
    except OSError:
        paths = []
        yield folder  # its job reports that it cannot be read
    for path in paths:
        if path == out or path.name.startswith('.'):
            continue
        if not os.path.isdir(path) or _kind(path) == 'recording':
            yield path  # also a link that leads nowhere: its job reports it
        elif not os.path.islink(path):  # a link may lead in a circle
            yield from _below(path, out)


def _below_stored(folder: Any, out: Any) -> Iterator[Path]:
    """Yield all that begins with the folder, asked for at once."""
    with telling(folder):
        names = folder.fs.find(folder.path)
    hidden = PurePosixPath(folder.path)
    for name in sorted(map(PurePosixPath, names), key=by_number):
        below = name.relative_to(hidden)
        path: Path = folder / str(below)
        if not any(part.startswith('.') for part in below.parts) and out not in path.parents:
            yield path


def share(
    sources: Sequence[Source], number: int, count: int, *, by_folder: bool = False
) -> list[Source]:
    """Choose the share of this number, from 1, of so many; by names, so that all jobs agree.

    With `by_folder`, photos of one folder, which are a sequence, stay together.
    """

    def number_of(source: Source) -> int:
        alone = source.kind != 'photo' or not by_folder
        key = source.name if alone else os.path.dirname(source.name)
        return int(hashlib.sha256(os.fsencode(key)).hexdigest()[:12], 16) % count + 1

    return [source for source in sources if number_of(source) == number]


def check_topics(sources: Sequence[Source], scale_source: str, motion: str = '') -> None:
    """Refuse what a photo or a video does not have with an InputsError.

    Args:
        sources: the inputs.
        scale_source: as the parameter.
        motion: as the parameter, of a temporal filter; '' where there is none.
    """
    one = next((source for source in sources if source.kind in ('photo', 'video')), None)
    asked = ''
    if scale_source in (*TOPICS, 'motion'):
        asked = f'scale_source {scale_source}'
    elif motion == 'odometry':
        asked = f'motion {motion}'
    if one is not None and asked:
        raise InputsError(f'{one.path} is a {one.kind}: {asked} is for recordings')


def is_recording(path: Path) -> bool:
    """Return whether a path is a recording, a file or a folder."""
    return _kind(path) == 'recording'


def _kind(path: Path) -> str:
    if is_stored(path):
        return 'photo' if _kind_of_name(path) == 'photo' else 'unknown'
    if os.path.isdir(path):
        return 'recording' if is_recording_folder(path) else 'unknown'
    return _kind_of_name(path) if os.path.isfile(path) else 'unknown'


def _kind_of_name(path: Path) -> str:
    kinds = {'photo': PHOTOS, 'video': VIDEOS, 'recording': RECORDINGS}
    suffix = path.suffix.lower()
    if path.name.lower().endswith(UNUSUAL):
        return 'recording'
    return next((kind for kind, suffixes in kinds.items() if suffix in suffixes), 'unknown')


def _stem(path: Path) -> Path:
    return path.with_suffix('') if is_stored(path) or not os.path.isdir(path) else path


def _is_folder(path: Path) -> bool:
    if is_stored(path):  # asked only where the name does not say it, which is much faster
        with telling(path):
            return _kind_of_name(path) == 'unknown' and path.is_dir()
    return os.path.isdir(path)


def _below_all(path: Any) -> PurePath:
    """Return a path for comparisons: that of a store begins with the bucket."""
    return PurePosixPath('/', path.path) if is_stored(path) else path


def _place(path: Any) -> str:
    return f'{path.protocol}://' if is_stored(path) else 'a disk'


def _common(folders: Sequence[Path]) -> PurePath:
    """Find the deepest folder that holds all of them."""
    places = {_place(path) for path in folders}
    if len(places) > 1:
        raise InputsError(f'inputs on {" and on ".join(sorted(places))}: convert them one by one')
    return PurePath(os.path.commonpath([_below_all(path) for path in folders]))


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Raise an InputsError of whatever a store raises: each has errors of its own."""
    try:
        yield
    except DepthPcdError:
        raise
    except Exception as err:
        raise InputsError(f'{path} cannot be used: {err or type(err).__name__}') from err


def located(text: str) -> Path:
    """Return the place that was typed, absolute; see `is_stored` for one in a store.

    Raises:
        InputsError: another kind of address, or what reads it is not installed.
    """
    kind, is_address, _ = text.partition('://')
    if not is_address:
        return absolute(Path(text))
    if kind not in STORES:
        known = ' or '.join(f'{name}://' for name in STORES)
        raise InputsError(f'{text}: expected a path, or {known}')
    try:
        from upath import UPath  # only these paths need it

        logging.getLogger(STORES[kind]).setLevel(logging.CRITICAL)  # what it raises is reported
        path: Any = UPath(text)
        path.fs  # noqa: B018 - imports what reads it
    except ImportError as err:
        raise InputsError(
            f'{text} needs the Python packages universal_pathlib and {STORES[kind]} ({err}): '
            f'pip install "depth_pcd_ros[{kind}]"'
        ) from err
    found: Path = path
    return found


def absolute(path: Path) -> Path:
    """Return the absolute path, without '..', but with the names of links as they were given."""
    # not Path.expanduser, which raises where a name just begins with ~
    return Path(os.path.abspath(os.path.expanduser(path)))
