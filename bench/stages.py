# SPDX-License-Identifier: Apache-2.0
"""Time every stage beside the network, next to a copy of the same bytes and to other ways.

It runs in a process of its own, with the environment that the package ships for large messages.
All of a size are timed in turns, so each finds the caches as the others have left them.
"""

import array
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import torch
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from torch.nn import functional as F

from bench.measure import Row, medians
from bench.scene import NETWORK_SIDE, SIZES, Scene, StoredNetwork, make_scene
from depth_pcd_ros.cloud import filters
from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import rgb_from_msg
from depth_pcd_ros.messages.encode import cloud_message, depth_image_message, image_message
from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.show.colorize import colorize
from scenes.isolation import isolate
from test.support.fake_engine import FakeFamily

# By stage: at 640x480, and at 1920x1080, what is required and aimed at; [ms] where nothing is
# measured beside it, else the ratio.
BOUNDS: dict[str, tuple[tuple[float, float] | None, tuple[float, float] | None]] = {
    'preprocess': ((4.0, 2.5), None),
    'unproject + pack': ((1.6, 1.0), (2.0, 1.3)),
    'message': ((4.0, 1.2), None),
    'all but the network': ((8.0, 4.0), None),
}


def measure(repetitions: int) -> list[Row]:
    """Measure in a process of its own."""
    isolate()
    command = [sys.executable, '-m', 'bench.stages', str(repetitions)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def official_preprocess(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Preprocess by the official code's steps (util/transform.py), in its types."""
    resized = cv2.resize(rgb / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(
        ((resized - Family.mean) / Family.std).transpose(2, 0, 1)[None], np.float32
    )


def official_points(depth: np.ndarray, rgb: np.ndarray, focal: float) -> np.ndarray:
    """Unproject by the official script's steps (depth_to_pointcloud.py), without the file."""
    height, width = depth.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    x, y = (x - width / 2) / focal, (y - height / 2) / focal
    points = np.stack((np.multiply(x, depth), np.multiply(y, depth), depth), axis=-1)
    return points.reshape(-1, 3), np.array(rgb).reshape(-1, 3) / 255.0


def by_open3d(scene: Scene) -> Callable[[], Any] | None:
    """Return Open3D's unprojection of an RGBD image; None where it is not installed."""
    try:
        import open3d
    except ImportError:
        return None
    height, width = scene.depth.shape
    k = scene.k
    camera = open3d.camera.PinholeCameraIntrinsic(width, height, k[0], k[4], k[2], k[5])

    def run() -> Any:
        rgbd = open3d.geometry.RGBDImage.create_from_color_and_depth(
            open3d.geometry.Image(scene.rgb),
            open3d.geometry.Image(scene.depth),
            depth_scale=1.0,
            depth_trunc=1000.0,
            convert_rgb_to_intensity=False,
        )
        return open3d.geometry.PointCloud.create_from_rgbd_image(rgbd, camera)

    return run


def by_sensor_msgs_py(points: np.ndarray) -> PointCloud2:
    """Make a message as sensor_msgs_py's create_cloud does of points that are packed already."""
    data = array.array('B')
    data.frombytes(memoryview(points).cast('B'))
    height, width = points.shape[:2]
    return PointCloud2(height=height, width=width, point_step=16, row_step=16 * width, data=data)


def copy_of(size: int) -> Callable[[], Any]:
    """Return a function that copies so many bytes from one place to another."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return lambda: np.copyto(target, source)


class Stages:
    """The stages of one picture size, as functions without arguments."""

    def __init__(self, scene: Scene, publisher: Any) -> None:
        self.rgb, depth = scene.rgb, scene.depth
        height, width = depth.shape
        calibration = scene.calibration()
        camera = Camera.from_calibration(calibration)
        network = FakeFamily(Path(), 20.0, NETWORK_SIDE)
        size = network.network_size(height, width)
        entering = np.empty((3, *size), np.float32)
        small, memory = upsample(depth, size), Buffer()
        header = Header()
        bgr = np.ascontiguousarray(self.rgb[..., ::-1])
        arriving = image_message(TYPES, bgr, 'bgr8', header)
        full, kept = np.empty_like(depth), depth.copy()
        points = memory.array((height, width, 4), np.float32)
        image_memory, color_memory, cloud_memory = Buffer(), Buffer(), Buffer()
        tensor = torch.from_numpy(small)[None, None]
        pipeline = Pipeline(StoredNetwork(depth), Settings())

        def edges() -> None:
            filters.drop(kept, filters.flying(kept, camera, 88.0))
            filters.drop_outside(kept, 0.1, 20.0)

        def everything() -> None:
            rgb = rgb_from_msg(arriving)
            frame = pipeline.process(Picture(rgb, calibration))
            made = pipeline.points(frame, cloud_memory)
            publisher.publish(cloud_message(TYPES, made, header, cloud_memory))

        pack_points(depth, camera.ray_maps, self.rgb, points)
        message = cloud_message(TYPES, points, header, memory)
        raw = points.tobytes()
        # name: what it takes, the bytes of its result, other ways to do it
        self.runs: dict[str, tuple[Callable[[], Any], int, dict[str, Callable[[], Any] | None]]] = {
            'convert bgr8': (lambda: rgb_from_msg(arriving), self.rgb.nbytes, {}),
            'preprocess': (
                lambda: network.enter(self.rgb, entering),
                12 * size[0] * size[1],
                {'official': lambda: official_preprocess(self.rgb, size)},
            ),
            'upsample': (
                lambda: upsample(small, depth.shape, full),
                depth.nbytes,
                {
                    'torch': lambda: F.interpolate(
                        tensor, depth.shape, mode='bilinear', align_corners=True
                    )
                },
            ),
            'range and edges': (edges, depth.nbytes, {}),
            'unproject + pack': (
                lambda: pack_points(depth, camera.ray_maps, self.rgb, points),
                points.nbytes,
                {
                    'official script': lambda: official_points(depth, self.rgb, scene.k[0]),
                    'Open3D': by_open3d(scene),
                },
            ),
            'message': (
                lambda: cloud_message(TYPES, points, header, memory),
                points.nbytes,
                {
                    'as sensor_msgs_py': lambda: by_sensor_msgs_py(points),
                    'msg.data = bytes': lambda: PointCloud2(data=raw),
                },
            ),
            'depth/image': (
                lambda: depth_image_message(TYPES, depth, '32FC1', header, image_memory),
                depth.nbytes,
                {},
            ),
            'depth/color': (
                lambda: image_message(
                    TYPES,
                    colorize(depth, 0.8, 20.0, color_memory),
                    'bgr8',
                    header,
                    color_memory,
                ),
                self.rgb.nbytes,
                {},
            ),
            'publish': (lambda: publisher.publish(message), points.nbytes, {}),
            'all but the network': (everything, 0, {}),
        }


def rows_of(stages: Stages, size: str, repetitions: int) -> list[Row]:
    """Time all stages of a size in turns."""
    runs: dict[str, Callable[[], Any]] = {}
    for name, (run, count, peers) in stages.runs.items():
        runs[name] = run
        if count:
            runs[f'memcpy for {name}'] = copy_of(count)
        runs |= {f'{name}: {peer}': other for peer, other in peers.items() if other is not None}
    times = medians(runs, repetitions)
    rows = []
    for name, (_, count, peers) in stages.runs.items():
        bounds = BOUNDS.get(name, (None, None))[0 if size == '640x480' else 1]
        required, aim = bounds or (None, None)
        others = {p: times[f'{name}: {p}'] for p, other in peers.items() if other is not None}
        missing = [f'{p} is not installed' for p, other in peers.items() if other is None]
        own = name == 'preprocess'  # most of it is arithmetic, so that no copy is a measure for it
        reference = None if own else times.get(f'memcpy for {name}')
        rows.append(
            Row(
                stage=name,
                size=size,
                value=times[name],
                against='' if own else 'memcpy' if count else 'from image message',
                reference=reference,
                required=required,
                aim=aim,
                peers=others,
                note=', '.join(missing),
            )
        )
    return rows


def main() -> None:
    """Measure all stages, print the rows as a line of JSON."""
    repetitions = int(sys.argv[1])
    torch.set_num_threads(2)
    rclpy.init()
    node = rclpy.create_node('bench_stages')
    publisher = node.create_publisher(PointCloud2, 'bench_points', QoSProfile(depth=1))
    node.create_subscription(PointCloud2, 'bench_points', lambda msg: None, QoSProfile(depth=1))
    rows = []
    for width, height in SIZES:
        stages = Stages(make_scene(width, height), publisher)
        rows += rows_of(stages, f'{width}x{height}', repetitions)
    node.destroy_node()
    rclpy.try_shutdown()
    print(json.dumps([dataclasses.asdict(row) for row in rows]))


if __name__ == '__main__':
    main()
