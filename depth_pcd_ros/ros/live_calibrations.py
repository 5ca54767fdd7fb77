# SPDX-License-Identifier: Apache-2.0
"""The calibration of each image of a live camera: by its CameraInfo, else by `hfov`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.calibration import Calibration, of_field_of_view
from depth_pcd_ros.messages.decode import calibration_from_msg, stamp_ns
from depth_pcd_ros.ros import qos
from depth_pcd_ros.ros.subscription import AdaptiveSubscription, is_remapped
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.camera_infos import KEPT, RECENT, CameraInfos
from depth_pcd_ros.sync.readings import Header


class LiveCalibrations:
    """Collects CameraInfo and finds an image's.

    They come from the topic that camera_info is remapped to; else from the one beside the image, as
    drivers have it, or, as long as that is silent, from the node's own camera_info.

    Args:
        on_begin: called when there is something to work with.

    Attributes:
        newest: the last calibration received, None before the first.
        assumed: in words, what stands for a calibration that the camera does not have; '' for one
            that has.
    """

    def __init__(
        self, node: Node, settings: Settings, on_begin: Callable[[], None], prefix: str = ''
    ) -> None:
        self.newest: Calibration | None = None
        self.assumed = ''
        self._node = node
        self._settings = settings
        self._on_begin = on_begin
        self._advised = False
        self._infos = CameraInfos(
            KEPT if settings.frames == 'all' else RECENT,
            any_frame=is_remapped(node, f'{prefix}camera_info'),
        )
        self.subscriptions: list[AdaptiveSubscription] = []
        try:
            for rank, topic in enumerate(topics(node, prefix)):
                take, depth = partial(self._take, rank), qos.INPUT_DEPTH[settings.frames]
                self.subscriptions.append(
                    AdaptiveSubscription(node, CameraInfo, topic, take, depth=depth, latched=True)
                )
        except Exception:
            self.destroy()
            raise
        self._rank = len(self.subscriptions)  # of the first of them that has sent
        if settings.field_of_view is not None:
            on_begin()

    @property
    def known(self) -> bool:
        """Return whether there is something to work with."""
        return len(self._infos) > 0 or self._settings.field_of_view is not None

    @property
    def topic_names(self) -> str:
        """Return the topics that it listens to, for a sentence."""
        return ' or '.join(one.topic_name for one in self.subscriptions)

    def who_publishes(self) -> str:
        """Say what there is on the topics."""
        told = [one.who_publishes() for one in self.subscriptions]
        return next((who for who in told if not who.startswith('no publisher')), told[0])

    def find(self, header: Header, width: int, height: int) -> Calibration:
        """Return the calibration of an image.

        Raises:
            FrameError: there is none; see `CameraInfos.find`.
        """
        hfov = self._settings.field_of_view
        try:
            found = self._infos.find(header.stamp_ns, header.frame_id, width, height)
        except FrameError as err:
            if hfov is None or err.cause != 'no_camera_info':
                raise
        else:
            if hfov is None or any(found.intrinsics(rectified=self._settings.rectified)[:2]):
                self.assumed = ''
                return found
        assumed = of_field_of_view(hfov, (width, height))
        if not self.assumed:
            self.assumed = f'no calibration: hfov {hfov:g} deg, principal point in the middle'
            self._node.get_logger().warning(
                f'{self.assumed}, which is fx = fy = {assumed.k[0]:.1f} px at {width}x{height}'
            )
        return assumed

    def destroy(self) -> None:
        """End the subscriptions."""
        while self.subscriptions:
            self.subscriptions.pop().destroy()

    def _take(self, rank: int, msg: Any) -> None:
        """Remember a CameraInfo; with the first one the work begins."""
        if rank > self._rank:
            return
        self._rank = rank
        header, self.newest = msg.header, calibration_from_msg(msg)
        advice = self.newest.size_advice(rectified=self._settings.rectified)
        if advice and not self._advised:
            self._advised = True
            self._node.get_logger().warning(f'{self.subscriptions[rank].topic_name}: {advice}')
        if self._infos.add(stamp_ns(header), header.frame_id, self.newest):
            self._node.get_logger().info(
                'the calibration changes: its rays are computed anew each time', once=True
            )
        self._on_begin()


def topics(node: Node, prefix: str = '') -> list[str]:
    """Name where CameraInfo may come from, the better one first."""
    own = node.resolve_topic_name(f'{prefix}camera_info')
    if is_remapped(node, f'{prefix}camera_info'):
        return [own]
    image = node.resolve_topic_name(f'{prefix}image').removesuffix('/compressed')
    return list(dict.fromkeys([posixpath.join(posixpath.dirname(image), 'camera_info'), own]))
