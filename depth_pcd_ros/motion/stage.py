# SPDX-License-Identifier: Apache-2.0
"""The stage of the pipeline: follow corners, triangulate them, steady the depth."""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera, Mask
from depth_pcd_ros.motion.camera_motion import MotionError, camera_motion
from depth_pcd_ros.motion.confidence import confidence
from depth_pcd_ros.motion.jumps import Jumps
from depth_pcd_ros.motion.pose import Pose, pose
from depth_pcd_ros.motion.stabilize import Stabilizer
from depth_pcd_ros.motion.steadiness import Steadiness
from depth_pcd_ros.motion.tracks import Tracked, Tracks
from depth_pcd_ros.motion.triangulate import Triangulation
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.scale.moving import MovingPoints
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import NO_HEADER, Evidence, Header

MAX_PAUSE = 0.9  # [s] between two pictures that have to do with each other

Depth = npt.NDArray[np.float32]
_Corners = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]  # ids, depths


class MotionStage:
    """Takes the pictures of one camera in their order; each is `begun` before it is asked about."""

    def __init__(self) -> None:
        self._steadied = False  # the depth of this picture was
        self._follows_on = False  # that of the picture before was, too
        self._header = NO_HEADER
        self._camera: Camera | None = None
        self._tracks, self._triangulation, self._jumps = Tracks(), Triangulation(), Jumps()
        self._stabilizer = Stabilizer()
        self._rgb: npt.NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
        self._tracked: Tracked | None = None
        self._pose: Pose | None = None  # odom_from_camera
        self._pose_before: Pose | None = None
        self._pose_ns = 0  # stamp of the last picture that had one
        self._missed_ns = 0  # stamp of the last one that had none, or the first picture
        self._no_odometry = ''
        self._pause = ''  # why nothing before this picture counts, where a pause is to blame
        # of the picture before: with the depth that came out, and with the network's
        self._corners: _Corners = np.empty(0, np.int64), np.empty(0)
        self._raw_corners: _Corners | None = None

    def begin(
        self,
        rgb: npt.NDArray[np.uint8],
        camera: Camera,
        header: Header,
        evidence: Evidence,
        settings: Settings,
        *,
        steadies: bool = True,
        visible: Mask | None = None,
    ) -> None:
        """Take the next picture; what has nothing to do with those before begins anew.

        Args:
            rgb: (H, W, 3).
            camera: the model of these pixels.
            header: of the picture.
            evidence: where the odometry says that it was taken from.
            settings: what is asked for.
            steadies: whether `steady` will be asked.
            visible: mask of what the lens shows, of any size; None: everything.
        """
        pause = (header.stamp_ns - self._header.stamp_ns) * 1e-9
        same = header.sequence == self._header.sequence and camera == self._camera
        if not same or not 0.0 <= pause <= MAX_PAUSE:
            self.__init__()  # type: ignore[misc]
            self._missed_ns = header.stamp_ns
            if same and pause > 0.0:
                self._pause = (
                    f'the picture before was taken {pause:.2g} s ago, '
                    f'expected {MAX_PAUSE} s or less'
                )
        else:
            self._pause = ''
        self._follows_on, self._steadied = self._steadied, False
        self._header, self._camera, self._rgb = header, camera, rgb
        self._pose_before, self._pose = self._pose, None
        self._no_odometry = evidence.no_odometry
        if evidence.odom_from_camera is None:
            self._missed_ns = header.stamp_ns
        else:
            self._pose, self._pose_ns = pose(evidence.odom_from_camera), header.stamp_ns
        follows = settings.scale_source == 'motion'
        if not follows:
            self._raw_corners = None
            follows = steadies and settings.motion != 'odometry'
            if settings.motion == 'auto':  # the odometry is enough, where none was missing lately
                follows &= header.stamp_ns - self._missed_ns < MAX_PAUSE * 1e9
        if follows:
            self._tracked = self._tracks.update(rgb, visible)
        elif self._tracked is not None:
            self._tracks, self._tracked = Tracks(), None

    def triangulate(self, depth: Depth) -> MovingPoints:
        """Measure corners by how far the odometry has moved.

        Args:
            depth: of the network, (H, W) m: tells how the camera turned, whatever its scale.

        Raises:
            ScaleError: `no_odometry`, `odometry_jumped`, `pause`, or as `Triangulation.update`.
        """
        assert self._tracked is not None  # for this scale_source, begin sees to it
        assert self._camera is not None
        before, self._raw_corners = self._raw_corners, _depths(self._tracked, depth)
        if self._pose is None:
            if self._header.stamp_ns - self._pose_ns > MAX_PAUSE * 1e9:
                self._triangulation.clear()  # it may come back with another origin
            raise ScaleError('no_odometry', self._no_odometry or 'nothing on the topic odometry')
        if before is not None and self._pose_before is not None:
            with contextlib.suppress(MotionError):  # the pictures do not know
                seen, away = self._seen_motion(before), float(np.nanmedian(before[1]))
                try:
                    self._jumps.check(self._pose_before.inverse() @ self._pose, seen, away)
                except ScaleError:
                    self._triangulation.clear()
                    raise
        try:
            return self._triangulation.update(self._tracked, self._camera, self._pose)
        except ScaleError:
            if self._pause:
                raise ScaleError('pause', self._pause) from None
            raise

    def steady(self, depth: Depth, settings: Settings) -> Steadiness:
        """Mix the depth with what was seen before, in place; (H, W) m of the picture begun."""
        assert self._camera is not None
        source, motion, why = '', None, MotionError('first', 'the first picture of a view')
        if self._pause:
            why = MotionError('pause', self._pause)
        elif self._follows_on:
            try:
                source, motion = self._motion(settings)
            except MotionError as err:
                why = err
        self._steadied = True
        mixed = self._stabilizer.update(
            depth, self._rgb, self._camera, motion, settings.temporal_filter
        )
        if motion is not None and not mixed:
            why = MotionError('other_view', 'the depth before does not agree: another view')
        if self._tracked is not None:
            self._corners = _depths(self._tracked, depth)
        return Steadiness(source) if mixed else Steadiness(source, why.cause, str(why))

    def confidence(self, depth: Depth) -> Depth:
        """Rate the depth that was steadied, as `confidence.confidence`."""
        return confidence(depth, self._stabilizer.agreed)

    def _motion(self, settings: Settings) -> tuple[str, Pose]:
        """Return the source of the camera's motion, and before_from_now.

        Raises:
            MotionError: nothing does.
        """
        if settings.motion != 'camera':
            if self._pose is not None and self._pose_before is not None:
                return 'odometry', self._pose_before.inverse() @ self._pose
            if settings.motion == 'odometry':
                why = self._no_odometry or 'nothing on the topic odometry'
                raise MotionError('no_odometry', why)
        return 'camera', self._seen_motion(self._corners)

    def _seen_motion(self, before: _Corners) -> Pose:
        """Return before_from_now by the pictures, in metres of the depths; errors as `_motion`."""
        if self._tracked is None:
            raise MotionError('few_tracks', 'no corners were followed yet')
        _, mine, its = np.intersect1d(self._tracked.ids, before[0], True, return_indices=True)
        depths = np.full(len(self._tracked.ids), np.nan)
        depths[mine] = before[1][its]
        assert self._camera is not None
        return camera_motion(self._tracked, depths, self._camera).inverse()


def _depths(tracked: Tracked, depth: Depth) -> _Corners:
    """Return the ids of all corners of a picture, and the depths there."""
    pixels = np.concatenate([tracked.now, tracked.fresh])
    height, width = depth.shape
    u, v = np.rint(pixels).astype(np.intp).T
    z = depth[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)]
    return np.concatenate([tracked.ids, tracked.fresh_ids]), z.astype(np.float64)
