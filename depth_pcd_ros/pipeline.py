# SPDX-License-Identifier: Apache-2.0
"""From a picture and its calibration to filtered metric depth and points. No ROS, no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.cloud.unproject import floats_per_point, pack_points, pack_valid_points
from depth_pcd_ros.cloud.voxels import VoxelGrid
from depth_pcd_ros.frame import Frame
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, Rectification
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.scale.stage import ScaleStage
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import NO_EVIDENCE, Evidence

if TYPE_CHECKING:
    from depth_pcd_ros.engine import Engine


class _View(NamedTuple):
    """A picture as the network sees it; the fields as in `Frame`, `visible` as in `Camera`."""

    rgb: npt.NDArray[np.uint8]
    camera: Camera
    calibration: Calibration
    visible: npt.NDArray[np.uint8] | None


class Estimate(NamedTuple):
    """What the network has seen in a picture, still to be corrected and filtered.

    Attributes:
        view: the picture as the network saw it.
        depth: what it gave, (H, W) float32 m; `Pipeline.finish` writes over it.
        settings: those that hold for this picture.
        network_time: what the network took [s].
    """

    view: _View
    depth: npt.NDArray[np.float32]
    settings: Settings
    network_time: float


class Pipeline:
    """Runs the stages in order; `settings` may be replaced between two frames.

    `process` is `estimate`, which waits for the network, and `finish`. One thread may be in each of
    them; where the network is on another device, a frame is finished while the next is estimated.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._memory = Buffer()
        self._voxels = VoxelGrid()
        self._true_scale = ScaleStage()

    def process(
        self,
        rgb: npt.NDArray[np.uint8],
        calibration: Calibration,
        evidence: Evidence = NO_EVIDENCE,
    ) -> Frame:
        """Compute the filtered metric depth of one picture.

        Args:
            rgb: (H, W, 3) uint8, RGB.
            calibration: the numbers of the picture's CameraInfo.
            evidence: what the `scale_source` says about it.

        Raises:
            FrameError: the picture does not fit the calibration, the calibration is not usable,
                or the network failed on the picture.
        """
        return self.finish(self.estimate(rgb, calibration), evidence)

    def estimate(self, rgb: npt.NDArray[np.uint8], calibration: Calibration) -> Estimate:
        """Let the network estimate the depth of one picture; arguments and errors as `process`."""
        settings = self.settings  # one snapshot: the owner may replace it meanwhile
        view = _view(rgb, calibration, settings)
        start = time.perf_counter()
        depth = self.engine.infer(view.rgb)
        return Estimate(view, depth, settings, time.perf_counter() - start)

    def process_batch(
        self, pictures: Sequence[tuple[npt.NDArray[np.uint8], Calibration, Evidence]]
    ) -> list[Frame]:
        """Process pictures of one size, in one run of the network; else as `process`.

        Raises:
            FrameError: for one of them; one by one, the others may succeed.
        """
        settings = self.settings
        views = [_view(rgb, calibration, settings) for rgb, calibration, _ in pictures]
        start = time.perf_counter()
        depths = self.engine.infer_batch([view.rgb for view in views])
        network_time = (time.perf_counter() - start) / len(views)
        return [
            self.finish(Estimate(view, depth, settings, network_time), evidence)
            for view, depth, (_, _, evidence) in zip(views, depths, pictures, strict=True)
        ]

    def finish(self, estimate: Estimate, evidence: Evidence = NO_EVIDENCE) -> Frame:
        """Correct and filter the depth; frames of a `scale_source` in their order."""
        (rgb, camera, calibration, visible), depth, settings, network_time = estimate
        depth = np.ascontiguousarray(depth)
        scale = settings.depth_scale * self._focal_correction(camera)
        if scale != 1.0:
            depth *= np.float32(scale)
        max_range = farthest = settings.max_range or self.engine.max_depth * scale
        true_scale = self._true_scale.correct(
            depth, camera, evidence, settings, self.engine.max_depth * scale
        )
        if true_scale is not None and not settings.max_range:
            farthest = true_scale.apply(farthest)  # nothing that the network gives is cut

        if settings.edge_filter:
            filters.drop(depth, filters.flying(depth, camera, settings.edge_filter))
        n = settings.stride
        if n > 1:
            rgb, depth = filters.every_nth(rgb, n), filters.every_nth(depth, n)
            camera, calibration = camera.strided(n), calibration.strided(n)
            visible = None if visible is None else filters.every_nth(visible, n)
        valid = filters.drop_outside(depth, settings.min_depth, farthest, visible)
        return Frame(rgb, depth, valid, camera, calibration, max_range, network_time, true_scale)

    def points(self, frame: Frame, memory: Buffer | None = None) -> npt.NDArray[np.float32]:
        """Unproject a frame to x, y, z [m] and the packed colour, as the settings ask for it.

        Args:
            frame: as `process` returns it.
            memory: where to put the points; None: the pipeline's own.

        Returns:
            (H, W, 4) float32 with NaN where invalid; or (N, 4), valid points only, where
            `organized` is false or `voxel_size` is set. (..., 3) for `cloud_fields: xyz`. It is
            overwritten by the next call with the same memory.
        """
        settings = self.settings
        memory = memory or self._memory
        depth, rays = frame.depth, frame.camera.ray_maps
        rgb = frame.rgb if settings.cloud_fields == 'xyzrgb' else None
        if settings.voxel_size:
            return self._voxels.means(depth, rays, rgb, settings.voxel_size, memory)
        if settings.organized:
            out = memory.array((*depth.shape, floats_per_point(rgb)), np.float32)
            return pack_points(depth, rays, rgb, out)
        out = memory.array((frame.valid_count, floats_per_point(rgb)), np.float32)
        return pack_valid_points(depth, rays, rgb, frame.valid_count, out)

    def _focal_correction(self, camera: Camera) -> float:
        """Ratio of the focal length at the network to that of its training data, or 1."""
        if not self.settings.focal_correction or self.engine.focal_train is None:
            return 1.0
        short_side = min(camera.width, camera.height)
        focal_net = camera.fy * self.engine.input_size / short_side
        return float(focal_net / self.engine.focal_train)


def _view(rgb: npt.NDArray[np.uint8], calibration: Calibration, settings: Settings) -> _View:
    """Find the camera of a picture, and rectify it where that is asked for."""
    used = calibration.without_distortion() if settings.distortion == 'ignore' else calibration
    camera = Camera.from_calibration(used, rectified=settings.rectified)
    camera.check_image_size(rgb.shape[1], rgb.shape[0])
    if settings.distortion == 'rectify' and not settings.rectified:
        rectification = Rectification.from_calibration(calibration)
        return _View(
            rectification.rectify(rgb),
            rectification.camera,
            calibration.rectified(),
            rectification.visible,
        )
    return _View(rgb, camera, calibration, camera.visible)
