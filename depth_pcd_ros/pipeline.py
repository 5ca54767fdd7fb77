# SPDX-License-Identifier: Apache-2.0
"""Compute filtered metric depth and points of a picture. No ROS, no torch."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.cloud.unproject import floats_per_point, pack_points
from depth_pcd_ros.cloud.voxels import VoxelGrid
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, Mask, lens_advice
from depth_pcd_ros.geometry.rectification import Rectification
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.motion.stage import MotionStage
from depth_pcd_ros.scale.stage import ScaleStage
from depth_pcd_ros.settings import Settings

if TYPE_CHECKING:
    from depth_pcd_ros.engine import Engine
    from depth_pcd_ros.engine.device_depth import DeviceDepth
    from depth_pcd_ros.networks.family import Family


# Calibrations whose rays a pipeline keeps: a recording may alternate between several. No more, for
# a zoom lens has a new one each frame, with rays of 18 MB at 1080p.
VIEWS = 8

log = logging.getLogger(__name__)


class _View(NamedTuple):
    """The cameras and masks that follow from a calibration and the settings, worked out once."""

    raw: Camera  # the camera of the picture as it comes
    rectification: Rectification | None  # what is done to the picture first; None: nothing
    whole: Camera  # the camera of the picture that enters the network
    camera: Camera  # the camera of the depth: of the same size, or of that of the network's output
    strided: Camera  # the camera of the result, which has every `stride`-th pixel of that
    calibration: Calibration  # the numbers of a CameraInfo that describes the result
    visible: Mask | None  # mask of the result, as `Camera.visible`

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the depth [px]."""
        return self.camera.height, self.camera.width

    def rgb(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the pixels for the network; `CameraError` where it is of another size."""
        self.raw.check_image_size(rgb.shape[1], rgb.shape[0])
        return rgb if self.rectification is None else self.rectification.rectify(rgb)

    def colours(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the colours of the pixels of the depth: each the mean of those it stands for."""
        (height, width), (new_height, new_width) = rgb.shape[:2], self.size
        n = min(height // new_height, width // new_width)
        if n > 1 and height % n == width % n == 0:  # by whole numbers first: that is far faster
            rgb = _averaged(rgb, height // n, width // n)
        return _averaged(rgb, new_height, new_width)


class Prepared(NamedTuple):
    """A picture as the network is to see it."""

    picture: Picture  # as it came in
    view: _View  # how it is seen
    rgb: npt.NDArray[np.uint8]  # the picture for the network, (H, W, 3) uint8
    colours: npt.NDArray[np.uint8]  # those of the pixels of the depth, (h, w, 3) uint8
    settings: Settings  # those that hold for this picture


class Estimate(NamedTuple):
    """The network's depth of a picture, still to be corrected and filtered."""

    prepared: Prepared  # the picture
    # what it gave, (h, w) float32 m, or what has it on the network's device; `Pipeline.finish`
    # writes over it
    depth: npt.NDArray[np.float32] | DeviceDepth
    network_time: float  # what the network took [s]; of several at once, for each its share


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
        self._motion = MotionStage()
        self._true_scale = ScaleStage()
        self._advised = False  # of a black picture
        self._view = functools.lru_cache(VIEWS)(functools.partial(_view, engine.network, []))

    def process(self, picture: Picture, *, with_confidence: bool = False) -> Frame:
        """Compute the filtered metric depth of one picture.

        Raises:
            FrameError: the picture does not fit the calibration, the calibration is not usable,
                or the network failed on the picture.
        """
        return self.finish(self.estimate(picture), with_confidence=with_confidence)

    def estimate(self, picture: Picture) -> Estimate:
        """Let the network estimate the depth of one picture; errors as `process`."""
        return estimate_batch(self.engine, [self.prepare(picture)])[0]

    def prepare(self, picture: Picture) -> Prepared:
        """Do what comes before the network; errors as `process`."""
        settings = self.settings  # one snapshot: the owner may replace it meanwhile
        if not self._advised and (advice := picture.advice()):
            self._advised = True
            log.warning('%s', advice)
        view = self._view(
            picture.calibration,
            rectified=settings.rectified,
            distortion=settings.distortion,
            resolution=settings.resolution,
            stride=settings.stride,
        )
        rgb = view.rgb(picture.rgb)
        return Prepared(picture, view, rgb, view.colours(rgb), settings)

    def finish(self, estimate: Estimate, *, with_confidence: bool = False) -> Frame:
        """Correct, steady and filter the depth; frames of one camera in their order.

        Args:
            estimate: of `estimate`.
            with_confidence: whether the frame has one.
        """
        (picture, view, _, rgb, settings), depth, network_time = estimate
        camera = view.camera
        end = self.engine.farthest(view.whole) * settings.depth_scale
        with_confidence |= settings.min_confidence > 0.0
        steadies = settings.temporal_filter > 0.0 or with_confidence
        if not isinstance(depth, np.ndarray):
            if not steadies and settings.scale_source == 'none':
                return self._finish_on_device(estimate, depth, settings.range_limit or end)
            depth = depth.numpy()
        depth = np.ascontiguousarray(depth)
        sky = np.isnan(depth) if self.engine.network.knows_sky else None
        if steadies or settings.scale_source == 'motion':
            self._motion.begin(
                rgb,
                camera,
                picture.header,
                picture.evidence,
                settings,
                steadies=steadies,
                visible=view.visible,
            )
        # Absurd sensor numbers end in no measurement; NumPy's warnings would not help.
        with np.errstate(all='ignore'):
            if settings.depth_scale != 1.0:
                depth *= np.float32(settings.depth_scale)
            true_scale = self._true_scale.correct(
                depth,
                camera,
                header=picture.header,
                evidence=picture.evidence,
                settings=settings,
                max_depth=end,
                triangulate=self._motion.triangulate,
            )
        steadiness = self._motion.steady(depth, settings) if steadies else None
        confidence = self._motion.confidence(depth) if with_confidence else None

        if settings.edge_limit is not None:
            filters.drop(depth, filters.flying(depth, camera, settings.edge_limit))
        n = settings.stride
        if n > 1:
            rgb, depth = filters.every_nth(rgb, n), filters.every_nth(depth, n)
            sky = None if sky is None else filters.every_nth(sky, n)
            confidence = None if confidence is None else filters.every_nth(confidence, n)
        max_range = farthest = settings.range_limit or end
        if settings.range_limit is None and true_scale is not None:
            farthest = true_scale.apply(end)  # nothing that the network gives is cut
        if confidence is not None and settings.min_confidence > 0.0:
            depth[confidence < settings.min_confidence] = np.nan
        valid = filters.drop_outside(depth, settings.min_depth, farthest, view.visible)
        return Frame(
            rgb=rgb,
            source=depth,
            valid_count=valid,
            camera=view.strided,
            calibration=view.calibration,
            max_range=max_range,
            network_time=network_time,
            scale=true_scale,
            sky=sky,
            steadiness=steadiness if settings.temporal_filter > 0.0 else None,
            confidence=confidence,
        )

    def _finish_on_device(self, estimate: Estimate, depth: DeviceDepth, max_range: float) -> Frame:
        """Do what `finish` does, with neither motion nor a scale that is measured."""
        _, view, _, rgb, settings = estimate.prepared
        filtered = depth.filtered(
            view.camera,
            scale=settings.depth_scale,
            edge_limit=settings.edge_limit,
            stride=settings.stride,
            nearest=settings.min_depth,
            farthest=max_range,
            visible=view.visible,
        )
        return Frame(
            rgb=filters.every_nth(rgb, settings.stride),
            source=filtered,
            valid_count=filtered.valid_count,
            camera=view.strided,
            calibration=view.calibration,
            max_range=max_range,
            network_time=estimate.network_time,
            sky=filtered.sky,
        )

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
        rgb = frame.rgb if settings.cloud_fields == 'xyzrgb' else None
        if settings.voxel is None and not isinstance(frame.source, np.ndarray):
            return frame.source.points(frame.camera, rgb, settings.organized, memory)
        depth, rays = frame.depth, frame.camera.ray_maps
        if settings.voxel is not None:
            return self._voxels.means(depth, rays, rgb, settings.voxel, memory)
        count = None if settings.organized else frame.valid_count
        shape = (*(depth.shape if count is None else (count,)), floats_per_point(rgb))
        return pack_points(depth, rays, rgb, memory.array(shape, np.float32), count=count)


def estimate_batch(
    engine: Engine, prepared: Sequence[Prepared], *, may_stay: bool = False
) -> list[Estimate]:
    """Let the network see pictures of one size at once, from one pipeline or several.

    Args:
        engine: that of the pipelines.
        prepared: at least one.
        may_stay: whether the depth may stay on the device of the network: worth it where one
            camera's frames follow one another, and most want nothing but a cloud.

    Raises:
        FrameError: the network failed on one of them; one by one, the others may succeed.
        ValueError: they differ in size.
    """
    sizes = {one.view.size for one in prepared}
    if len(sizes) != 1:
        raise ValueError(f'the depths are to be of {sorted(sizes)}, expected one size')
    start = time.perf_counter()
    estimate = engine.estimate if may_stay else engine.infer_batch
    depths = estimate(
        [one.rgb for one in prepared], [one.view.whole for one in prepared], sizes.pop()
    )
    network_time = (time.perf_counter() - start) / len(prepared)
    return [Estimate(*pair, network_time) for pair in zip(prepared, depths, strict=True)]


def _view(
    network: Family,
    advised: list[str],  # what was said of calibrations before: a zoom lens has many
    calibration: Calibration,
    *,
    rectified: bool,
    distortion: str,
    resolution: str,
    stride: int,
) -> _View:
    used = calibration.without_distortion() if distortion == 'ignore' else calibration
    raw = whole = Camera.from_calibration(used, rectified=rectified)
    rectification = None
    if distortion == 'rectify' and not rectified:
        rectification = Rectification.from_calibration(calibration)
        whole, calibration = rectification.camera, calibration.rectified()
    visible = (rectification or whole).visible
    advice = lens_advice(raw) if rectification is None else rectification.advice()
    if advice and not advised:
        advised.append(advice)
        log.warning('%s', advice)
    camera = whole
    if resolution == 'network':
        height, width = network.depth_size(whole.height, whole.width)
        camera, calibration = camera.resized(width, height), calibration.resized(width, height)
        if visible is not None:
            visible = _resized_mask(visible, height, width)
    strided = camera
    if stride > 1:
        strided, calibration = camera.strided(stride), calibration.strided(stride)
        visible = None if visible is None else filters.every_nth(visible, stride)
    return _View(raw, rectification, whole, camera, strided, calibration, visible)


def _resized_mask(visible: Mask, height: int, width: int) -> Mask:
    """Mask of the pixels between four visible ones at most, the corners aligned."""
    places = [
        np.linspace(0, old - 1, new)
        for old, new in zip(visible.shape, (height, width), strict=True)
    ]
    rows, columns = ((np.floor(at).astype(int), np.ceil(at).astype(int)) for at in places)
    return np.minimum.reduce([visible[np.ix_(v, u)] for v in rows for u in columns])


def _averaged(rgb: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Reduce a picture, each pixel the mean of the area that it covers."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
