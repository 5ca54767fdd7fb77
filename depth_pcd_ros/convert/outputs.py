# SPDX-License-Identifier: Apache-2.0
"""The files that one picture becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.convert.manifest import Manifest
from depth_pcd_ros.files.las import write_las
from depth_pcd_ros.files.pcd import write_pcd
from depth_pcd_ros.files.ply import write_ply
from depth_pcd_ros.files.whole_file import whole_file, write_picture
from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.messages.decode import depth_pixels
from depth_pcd_ros.show.preview import preview


class Format(NamedTuple):
    """A kind of file."""

    ending: str  # of its name
    # writes it; the last argument as that of `write_ply`
    write: Callable[[Path, Frame, Points, str], object]
    # at most, without and with colours
    bytes_per_pixel: tuple[int, int]


def _write_depth(path: Path, frame: Frame, points: Points, up: str) -> None:
    write_picture(path, depth_pixels(frame.depth, '16UC1'))


def _write_npy(path: Path, frame: Frame, points: Points, up: str) -> None:
    with whole_file(path) as file:
        np.save(file, frame.depth)


def _write_npz(path: Path, frame: Frame, points: Points, up: str) -> None:
    arrays: dict[str, Any] = {'xyz': points[..., :3]}
    if points.shape[-1] == 4:
        arrays['rgb'] = unpack_rgb(points[..., 3])
    with whole_file(path) as file:
        np.savez(file, **arrays)


def _write_preview(path: Path, frame: Frame, points: Points, up: str) -> None:
    picture = preview(frame.rgb, frame.depth, points, focal=frame.camera.fx, sky=frame.sky)
    write_picture(path, picture)


# By the names of `options.FORMATS`.
WRITERS = {
    'ply': Format('.ply', lambda path, _, points, up: write_ply(path, points, up), (12, 15)),
    'pcd': Format('.pcd', lambda path, _, points, up: write_pcd(path, points, up), (12, 16)),
    'depth': Format('.depth.png', _write_depth, (2, 2)),
    'npy': Format('.depth.npy', _write_npy, (4, 4)),
    'npz': Format('.npz', _write_npz, (12, 15)),
    'las': Format('.las', lambda path, _, points, up: write_las(path, points, up), (20, 26)),
    'preview': Format('.preview.png', _write_preview, (0, 0)),
}


class Outputs:
    """Writes files below a folder, in formats of `WRITERS`; `up` as that of `write_ply`."""

    def __init__(
        self, folder: Path, formats: Sequence[str], manifest: Manifest, up: str = ''
    ) -> None:
        self._folder = folder
        self._formats = [WRITERS[name] for name in formats]
        self._manifest = manifest
        self._up = up

    def paths(self, name: str) -> list[Path]:
        """Name the files of a picture."""
        return [self._folder / (name + chosen.ending) for chosen in self._formats]

    def existing(self, name: str) -> list[Path]:
        """List the existing files of a picture."""
        return [path for path in self.paths(name) if self._manifest.is_there(path)]

    def existing_below(self, folder: str) -> list[Path]:
        """List the existing files in a folder of pictures, or in that of each camera in it."""
        patterns = [f'**/*{chosen.ending}' for chosen in self._formats]
        return sorted(path for p in patterns for path in (self._folder / folder).glob(p))

    def are_done(self, name: str) -> bool:
        """Return whether all files of a picture are there, made with the options of this run."""
        return all(self._manifest.is_done(path) for path in self.paths(name))

    def write(self, name: str, frame: Frame, points: Points) -> None:
        """Write the files of one picture, each whole or not at all.

        Raises:
            OSError: a file cannot be written.
        """
        for path, chosen in zip(self.paths(name), self._formats, strict=True):
            self._manifest.begin(path)
            chosen.write(path, frame, points, self._up)
