# SPDX-License-Identifier: Apache-2.0
"""Folders of photos with their true depth: NYU, TUM, KITTI, and any with names that match."""

from __future__ import annotations

import bisect
import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.evaluate.truth import Depth, Transform, TruthError
from depth_pcd_ros.files.order import by_number
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.calibration import Calibration, pinhole
from depth_pcd_ros.inputs.intrinsics import Say
from depth_pcd_ros.inputs.photos import read_header
from depth_pcd_ros.inputs.sources import PHOTOS
from depth_pcd_ros.messages.depth import metres

DEPTHS = ('.png', '.pgm', '.tif', '.tiff', '.npy')
# Words in names that tell depth from colour, not one picture from another.
DEPTH_WORDS = ('sync_depth', 'groundtruth_depth', 'depth', 'disp', 'gt', 'truth')
COLOUR_WORDS = ('rgb', 'color', 'colour', 'image', 'img', 'photo')
MILLIMETRES = 0.001  # [m], NYU Depth V2 as everybody unpacks it, Kinects, RealSense
TUM_UNIT = 1 / 5000  # https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats
KITTI_UNIT = 1 / 256  # the development kit of KITTI's depth benchmark, readme.txt
TUM_APART = 0.02  # [s], the default of TUM's associate.py
# The camera of NYU Depth V2 (its toolbox, camera_params.m), and that of TUM's registered images
# (file formats, the page above).
NYU = pinhole(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465,
              (640, 480))  # fmt: skip
TUM = pinhole(525.0, 525.0, 319.5, 239.5, (640, 480))
_KITTI_RAW = re.compile(
    r'(?P<drive>\d{4}_\d\d_\d\d_drive_\d{4}_sync)/.*?(?P<camera>image_0\d)/(?:data/)?(?P<frame>\d+)'
)
_KITTI_CROPPED = re.compile(
    r'(?P<drive>\d{4}_\d\d_\d\d_drive_\d{4}_sync)_(?:image|groundtruth_depth)_(?P<frame>\d+)_'
    r'(?P<camera>image_0\d)'
)


class PairsError(DepthPcdError):
    """A folder has no pairs of a photo and a depth; the message says what it has."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A photo and its true depth."""

    name: str  # of the photo, below the folder and without an ending
    photo: Path  # the file
    depth: Path  # the file with the depth
    unit: float | None  # metres of one unit of it; None: 0.001 in 16 bits, 1 in floats
    calibration: Calibration | None = None  # of the photo, where the layout has one
    world_from_camera: Transform | None = None  # where it was taken from, where the layout says so
    stamp_ns: int = 0  # when it was taken; zero where nobody knows


def find_pairs(folder: Path, say: Say) -> list[Pair]:
    """List the pairs of a folder, in order.

    Args:
        folder: its layout is found out.
        say: gets which layout that is, and what is left out.

    Raises:
        PairsError: it has none, or a file that says what belongs together cannot be read.
    """
    if (folder / 'rgb.txt').is_file() and (folder / 'depth.txt').is_file():
        pairs, layout = _tum(folder), 'TUM: depth in 1/5000 m'
    else:
        files = [path for path in folder.rglob('*') if _is_picture(path, folder)]
        files.sort(key=by_number)
        pairs, layout = _named(folder, files)
    if not pairs:
        kinds = Counter(path.suffix for path in folder.rglob('*') if path.is_file())
        there = ', '.join(f'{count} {ending}' for ending, count in sorted(kinds.items()))
        raise PairsError(
            f'{folder} has no pairs of a photo and a depth ({there or "it is empty"}); expected '
            'rgb/NAME and depth/NAME, NAME.jpg and NAME.png of 16 bits, or the layout of NYU, TUM '
            'or KITTI'
        )
    pairs = _with_poses(folder, pairs)
    say(f'{folder}: {len(pairs)} pairs ({layout})')
    return pairs


def read_depth(pair: Pair, unit: float | None = None) -> Depth:
    """Read the depth of a pair, (H, W) float32 m, NaN where unknown.

    Args:
        pair: the pair.
        unit: metres of one unit, where the layout's is wrong.

    Raises:
        TruthError: `truth_unreadable`.
    """
    try:
        if pair.depth.suffix == '.npy':
            pixels: Any = np.load(pair.depth, allow_pickle=False)
        else:
            pixels = cv2.imdecode(np.fromfile(pair.depth, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError, cv2.error) as err:
        raise TruthError('truth_unreadable', f'{pair.depth} cannot be read: {err}') from err
    if (
        pixels is None
        or pixels.ndim != 2
        or pixels.dtype not in (np.uint16, np.float32, np.float64)
    ):
        what = 'no picture' if pixels is None else f'{pixels.shape} {pixels.dtype}'
        raise TruthError(
            'truth_unreadable',
            f'{pair.depth} is {what}, expected one channel of 16 bits or floats',
        )
    return metres(pixels, pair.unit if unit is None else unit)


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
    return path.suffix.lower() in {*PHOTOS, *DEPTHS} and not hidden and path.is_file()


def _named(folder: Path, files: list[Path]) -> tuple[list[Pair], str]:
    """Pairs whose names are the same but for words such as rgb and depth, or the ending."""
    key, layout, unit, calibration = _layout(folder, files)
    found: dict[Any, dict[bool, Path]] = {}
    for path in files:
        found.setdefault(key(path), {}).setdefault(_is_depth(path, folder), path)
    pairs = []
    for both in found.values():
        if len(both) < 2:
            continue
        photo = both[False]
        own_unit, own = _intrinsics_beside(photo)
        name = str(photo.relative_to(folder).with_suffix(''))
        pairs.append(Pair(name, photo, both[True], own_unit or unit, own or calibration(photo)))
    return pairs, layout


def _layout(
    folder: Path, files: list[Path]
) -> tuple[Callable[[Path], Any], str, float | None, Callable[[Path], Calibration | None]]:
    """Return what names a pair, the layout for a person, its unit, and the camera of a photo."""
    for pattern in (_KITTI_RAW, _KITTI_CROPPED):
        if any(pattern.search(path.as_posix()) for path in files):

            def kitti(path: Path, pattern: re.Pattern[str] = pattern) -> Any:
                match = pattern.search(path.as_posix())
                return tuple(match.groupdict().values()) if match else path

            return kitti, 'KITTI: depth in 1/256 m', KITTI_UNIT, _kitti_camera
    if any(path.name.startswith('sync_depth_') for path in files):
        return (
            lambda path: _key(path, folder),
            'NYU Depth V2: depth in mm, and its camera',
            MILLIMETRES,
            lambda photo: NYU,
        )
    return lambda path: _key(path, folder), 'by their names', None, lambda photo: None


def _key(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the name of a picture without what tells photo and depth apart."""
    words = '|'.join((*DEPTH_WORDS, *COLOUR_WORDS))
    parts = path.relative_to(folder).with_suffix('').parts
    return tuple(
        rest
        for part in parts
        if (rest := re.sub(rf'(?<![a-z])({words})(?![a-z])', '', part.lower()).strip('_-. '))
    )


def _is_depth(path: Path, folder: Path) -> bool:
    """Return whether it is the depth of a pair: by its name, or one channel of 16 bits."""
    if path.suffix == '.npy':
        return True
    name = path.relative_to(folder).as_posix().lower()
    for words, answer in ((DEPTH_WORDS, True), (COLOUR_WORDS, False)):
        if re.search(rf'(?<![a-z])({"|".join(words)})(?![a-z])', re.sub('image_0[0-9]', '', name)):
            return answer
    if path.suffix.lower() not in DEPTHS:
        return False
    with path.open('rb') as file:
        start = file.read(26)
    if start.startswith(b'\x89PNG'):
        return start[24:26] == b'\x10\x00'  # 16 bits of grey
    return path.suffix.lower() in ('.pgm', '.tif', '.tiff')


def _intrinsics_beside(photo: Path) -> tuple[float | None, Calibration | None]:
    """Unit and camera of an intrinsics.json: fx, fy, cx, cy, and perhaps depth_scale and size."""
    path = photo.parent / 'intrinsics.json'
    if not path.is_file():
        return None, None
    try:
        content = json.loads(path.read_text('utf-8'))
        fx, fy, cx, cy = (float(content[name]) for name in ('fx', 'fy', 'cx', 'cy'))
        size = int(content['width']), int(content['height'])
        scale = float(content.get('depth_scale', 0.0))
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise PairsError(
            f'{path} cannot be read ({type(err).__name__}: {err}); expected fx, fy, cx, cy, width '
            'and height [px], and depth_scale, the units of the depth in a metre'
        ) from err
    return (1.0 / scale if scale else None), pinhole(fx, fy, cx, cy, size)


def _kitti_camera(photo: Path) -> Calibration | None:
    """P_rect of calib_cam_to_cam.txt above a raw photo, or K of the benchmark's intrinsics/."""
    header = read_header(photo)
    size = header.size if header else (0, 0)
    cropped = photo.parent.parent / 'intrinsics' / f'{photo.stem}.txt'
    if cropped.is_file():
        k = _floats(cropped, _text(cropped), 9)
        return pinhole(k[0], k[4], k[2], k[5], size)
    match = re.search(r'image_(0\d)', photo.as_posix())
    for above in photo.parents:
        path = above / 'calib_cam_to_cam.txt'
        if match and path.is_file():
            found = re.search(rf'^P_rect_{match[1]}: (.*)$', _text(path), re.M)
            if found:
                p = _floats(path, found[1], 12)
                return pinhole(p[0], p[5], p[2], p[6], size)
    return None


def _tum(folder: Path) -> list[Pair]:
    """Pairs of rgb.txt and depth.txt whose stamps are nearest, at most 20 ms apart."""
    photos, depths = (_stamped(folder, f'{name}.txt') for name in ('rgb', 'depth'))
    stamps = [stamp for stamp, _ in depths]
    pairs = []
    for stamp, photo in photos:
        i = _nearest(stamps, stamp)
        if i is None or abs(stamps[i] - stamp) > TUM_APART:
            continue
        name = str(Path(photo).with_suffix(''))
        ns = round(stamp * 1e9)  # whole ones: a double has some hundred of them
        depth = folder / depths[i][1]
        pairs.append(Pair(name, folder / photo, depth, TUM_UNIT, TUM, stamp_ns=ns))
    if not pairs:
        raise PairsError(
            f'{folder}: of {len(photos)} stamps in rgb.txt and {len(depths)} in depth.txt none are '
            f'within {TUM_APART:g} s of each other'
        )
    return pairs


def _stamped(folder: Path, name: str) -> list[tuple[float, str]]:
    """Stamp [s] and the rest of each line of a TUM file, in their order."""
    rows = []
    for line in _text(folder / name).splitlines():
        if line.strip() and not line.startswith('#'):
            first, _, rest = line.strip().partition(' ')
            try:
                rows.append((float(first), rest.strip()))
            except ValueError as err:
                raise PairsError(f'{folder / name}: {line!r} does not begin with a stamp') from err
            if not rest:
                raise PairsError(f'{folder / name}: {line!r} has nothing behind the stamp')
    return sorted(rows)


def _text(path: Path) -> str:
    try:
        return path.read_text('utf-8')
    except (OSError, ValueError) as err:
        raise PairsError(f'{path} cannot be read: {err}') from err


def _floats(path: Path, text: str, count: int) -> list[float]:
    """The numbers in a part of a file, which are to be so many."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        shown = ' '.join(text.split())
        raise PairsError(f'{path} has {shown[:80]!r}, expected {count} numbers')
    return numbers


def _nearest(stamps: list[float], stamp: float) -> int | None:
    if not stamps:
        return None
    after = bisect.bisect_left(stamps, stamp)
    near = [i for i in (after - 1, after) if 0 <= i < len(stamps)]
    return min(near, key=lambda i: abs(stamps[i] - stamp))


def _with_poses(folder: Path, pairs: list[Pair]) -> list[Pair]:
    """Add their poses to the pairs: of TUM's groundtruth.txt, or of poses.txt, a 3 x 4 matrix each.

    poses.txt has a row for each pair, world_from_camera, as the odometry of KITTI has it.
    """
    if (folder / 'groundtruth.txt').is_file() and pairs[0].stamp_ns:
        known = _stamped(folder, 'groundtruth.txt')
        stamps = [stamp for stamp, _ in known]
        return [
            dataclasses.replace(
                pair,
                world_from_camera=tuple(_floats(folder / 'groundtruth.txt', known[i][1], 7)),
            )
            if (i := _nearest(stamps, pair.stamp_ns / 1e9)) is not None
            and abs(stamps[i] - pair.stamp_ns / 1e9) <= TUM_APART
            else pair
            for pair in pairs
        ]
    path = folder / 'poses.txt'
    if not path.is_file():
        return pairs
    rows = [line for line in _text(path).splitlines() if line.partition('#')[0].strip()]
    if len(rows) != len(pairs):
        raise PairsError(f'{path} has {len(rows)} rows for {len(pairs)} pairs')
    matrices = [np.reshape(_floats(path, row.partition('#')[0], 12), (3, 4)) for row in rows]
    turns = [transform.of_rotation(matrix[:, :3])[3:] for matrix in matrices]
    return [
        dataclasses.replace(pair, world_from_camera=(*matrix[:, 3].tolist(), *turn))
        for pair, matrix, turn in zip(pairs, matrices, turns, strict=True)
    ]
