# SPDX-License-Identifier: Apache-2.0
"""The family Depth Anything 3, metric (arXiv:2511.10647): what is known without its network."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.networks.family import CheckpointError, Family, Floats, check_max_depth

if TYPE_CHECKING:
    from depth_pcd_ros.geometry.camera import Camera

# Its FAQ: metres = focal length [px] x output / 300. Where sky begins: `sky >= 0.3` in its da3.py.
FOCAL = 300.0
SKY = 0.3
# Keys that the network has, and how those of the others of its house begin, without `model.`.
KEY = 'backbone.pretrained.pos_embed'
SKY_KEY = 'head.scratch.sky_output_conv2.0.weight'
OTHERS = {
    'da3.': 'the nested one, of an any-view and a metric network',
    'da3_metric.': 'the nested one, of an any-view and a metric network',
    'cam_enc.': 'an any-view one, whose depth is relative',
    'cam_dec.': 'an any-view one, whose depth is relative',
    'gs_head.': 'an any-view one, whose depth is relative',
    'backbone.pretrained.camera_token': 'an any-view one, whose depth is relative',
    'head.scratch.output_conv2_aux': 'an any-view one, whose depth is relative',
}


class DepthAnything3(Family):
    """Depth Anything 3 metric: one network for indoors and outdoors, which knows the sky.

    `input_size` is the long side of the picture at the network.
    """

    name = 'depth_anything_3'
    own_input_size = 504
    input_size_step = 1
    knows_sky = True
    uncorrected = "the metres of Depth Anything 3 follow from the camera's focal length as they are"

    @classmethod
    def max_depth_of(cls, path: Path, max_depth: float) -> float:
        """Return infinity, for the depth has no end, or the end that is asked for.

        Raises:
            CheckpointError: `max_depth` is not a depth.
        """
        if max_depth == np.inf:  # what this gave before
            return max_depth
        check_max_depth(max_depth)
        return max_depth or np.inf

    @classmethod
    def recognises(cls, keys: list[str], metadata: dict[str, str]) -> bool:
        """Return whether the keys are those of a network of Depth Anything 3, metric or not."""
        bare = [key.removeprefix('model.') for key in keys]
        return any(key.endswith(KEY) or key.startswith(('da3.', 'da3_metric.')) for key in bare)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which a picture enters, each side the nearest multiple of 14."""
        first = self._first_size(height, width)
        return max(_nearest(first[0]), self.patch), max(_nearest(first[1]), self.patch)

    def reduced(self, rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Resize as the official InputProcessor does: the long side, then both to multiples."""
        for height, width in (self._first_size(*rgb.shape[:2]), size):
            before = rgb.shape[:2]
            if before != (height, width):
                up = height > before[0] or width > before[1]
                how = cv2.INTER_CUBIC if up else cv2.INTER_AREA
                rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)
        return rgb

    def factor(self, camera: Camera) -> float:
        """Return the focal length at the network / 300 px: the mean of both directions."""
        height, width = self.network_size(camera.height, camera.width)
        focal = (camera.fx * width / camera.width + camera.fy * height / camera.height) / 2
        return focal / FOCAL

    def farthest(self, camera: Camera) -> float:
        """Return the depth beyond which nothing is believed [m]; inf where none was asked for."""
        return self.max_depth

    def metres(self, maps: Floats, camera: Camera) -> Floats:
        """Turn what the network gave for a picture into depth, NaN where it is sky."""
        depth = super().metres(maps, camera)
        depth[maps[1] >= SKY] = np.nan
        return depth

    def _first_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after the first step."""
        scale = self.input_size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


def check_metric(path: Path, keys: list[str]) -> None:
    """Check that a file with these keys is of the metric network.

    The keys of the metric and of the relative network for single pictures (DA3MONO) are the same;
    the config.json beside a published file tells, or the name of the file or of its folder.

    Raises:
        CheckpointError: it is another one; the message says which.
    """
    bare = [key.removeprefix('model.') for key in keys]
    what = next(
        (what for begin, what in OTHERS.items() if any(k.startswith(begin) for k in bare)), ''
    )
    if not what and SKY_KEY not in bare:
        what = 'one without sky, whose depth is relative'
    if not what and 'mono' in _model_name(path):
        what = 'the relative one for single pictures (DA3MONO)'
    if what:
        raise CheckpointError(
            f'{path} is a checkpoint of Depth Anything 3, but {what}; expected the metric one '
            '(DA3METRIC-LARGE)'
        )


def _model_name(path: Path) -> str:
    """Return the names of a model: in its config.json, of its folder and of its file."""
    names = [name for name in (path.parent.name, path.name) if 'da3' in name.lower()]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        names.append(str(json.loads((path.parent / 'config.json').read_text())['model_name']))
    return ' '.join(names).lower()


def _nearest(side: int) -> int:
    """Return the nearest multiple of 14, a tie goes up."""
    return (side + 7) // 14 * 14
