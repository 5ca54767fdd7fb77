# SPDX-License-Identifier: Apache-2.0
"""Make the demo recording, a drive through an unseen room: `python -m scenes.recording OUT_DIR`.

A rosbag2 folder (mcap) with the photo, its CameraInfo and the true depth of every frame. The same
seed gives the same recording.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from scenes import DEMO_SEED
from scenes.furniture import make_room
from scenes.render import View, render
from scenes.rooms import Room
from scenes.views import CAMERA_HEIGHT, FIELD_OF_VIEW, PITCH, clear, floor_share, rotation

IMAGE, CAMERA_INFO, TRUTH = '/camera/image_raw', '/camera/camera_info', '/truth/depth/image'
FRAME_ID = 'camera_optical_frame'
START = 1_700_000_000  # s, of the first stamp
SPEED = 0.3  # m/s
CLEARANCE = 0.35  # m, from the middle of the robot to whatever stands on the floor
FOREVER = QosTime(2147483647, 4294967295)
RELIABLE = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)
TYPES = get_typestore(Stores.ROS2_HUMBLE)


def drive(room: Room, seed: int, frames: int, rate: float, width: int, height: int) -> list[View]:
    """Plan the views of a smooth, collision-free drive: forward, in a gentle curve, looking about.

    ValueError where the room has no place for one in 2000 tries.
    """
    rng = np.random.default_rng([seed, 5])
    focal = width / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    time = np.arange(frames) / rate  # s
    for _ in range(2000):
        start = rng.uniform(0.4, room.size[:2] - 0.4)
        heading = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.1, 0.1) * time
        steps = SPEED / rate * np.stack([np.cos(heading), np.sin(heading)], 1)
        path = start + np.cumsum(steps, 0)
        look = heading + 0.2 * np.sin(0.9 * time + rng.uniform(0, 2 * np.pi))
        if not all(_free(room, at) for at in path):
            continue
        views = [
            View(
                width=width,
                height=height,
                fx=1.005 * focal,
                fy=0.994 * focal,
                cx=0.5071 * width,
                cy=0.4917 * height,
                position=np.array([*at, CAMERA_HEIGHT + 0.004 * np.sin(2.6 * t)]),
                room_from_camera=rotation(yaw, np.radians(PITCH + 0.3 * np.sin(1.9 * t)), 0.0),
                exposure=float(2 ** (0.25 * np.sin(0.8 * t))),
                noise=2.5,
                noise_seed=seed + i,
            )
            for i, (at, yaw, t) in enumerate(zip(path, look, time, strict=True))
        ]
        if all(floor_share(room, view) >= 0.6 for view in views[::6]):
            return views
    raise ValueError(f'room {room.seed}: no place for a drive of {frames} frames at {rate} Hz')


def _free(room: Room, at: np.ndarray) -> bool:
    within = (at > CLEARANCE).all() and (at < room.size[:2] - CLEARANCE).all()
    return bool(within) and clear(room, at, CLEARANCE)


def messages(room: Room, view: View, nanoseconds: int) -> dict[str, object]:
    """Make the messages of one view, by topic."""
    stamp = TYPES.types['builtin_interfaces/msg/Time'](*divmod(nanoseconds, 10**9))
    header = TYPES.types['std_msgs/msg/Header'](stamp, FRAME_ID)
    image = TYPES.types['sensor_msgs/msg/Image']
    shown = render(room, view)
    fx, fy, cx, cy = view.intrinsics()
    roi = TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    info = TYPES.types['sensor_msgs/msg/CameraInfo'](
        header=header,
        height=view.height,
        width=view.width,
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1.0, 0]),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )
    depth = shown.depth.astype('<f4').view(np.uint8).ravel()
    return {
        IMAGE: image(header, view.height, view.width, 'rgb8', 0, 3 * view.width, shown.rgb.ravel()),
        CAMERA_INFO: info,
        TRUTH: image(header, view.height, view.width, '32FC1', 0, 4 * view.width, depth),
    }


def write(out: Path, room: Room, views: list[View], rate: float) -> None:
    """Render the views and write them as a rosbag2 folder, which must not exist yet."""
    # Humble cannot read version 9, whose QoS profiles are no strings (ros2/rosbag2, issue 2013).
    writer = Writer(out, version=8, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        types = {IMAGE: 'Image', CAMERA_INFO: 'CameraInfo', TRUTH: 'Image'}
        connections = {
            topic: writer.add_connection(
                topic,
                f'sensor_msgs/msg/{name}',
                typestore=TYPES,
                offered_qos_profiles=[RELIABLE],
            )
            for topic, name in types.items()
        }
        for i, view in enumerate(tqdm(views, desc='rendering the recording', unit='frame')):
            nanoseconds = START * 10**9 + round(i * 1e9 / rate)
            for topic, message in messages(room, view, nanoseconds).items():
                data = TYPES.serialize_cdr(message, connections[topic].msgtype)
                writer.write(connections[topic], nanoseconds, data)


def main() -> int:
    """Parse the command line and write the recording."""
    parser = argparse.ArgumentParser(prog='python -m scenes.recording', description=__doc__)
    parser.add_argument('out', type=Path, metavar='OUT_DIR', help='folder to make')
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--width', type=int, default=640, help='px')
    parser.add_argument('--height', type=int, default=480, help='px')
    parser.add_argument('--rate', type=float, default=10.0, help='Hz')
    parser.add_argument('--seed', type=int, default=DEMO_SEED, help='of the room and the drive')
    args = parser.parse_args()
    if args.out.exists():
        print(f'{args.out} exists already: remove it or name another folder', file=sys.stderr)
        return 1
    room = make_room(args.seed)
    try:
        views = drive(room, args.seed, args.frames, args.rate, args.width, args.height)
    except ValueError as err:
        print(err, file=sys.stderr)
        return 1
    write(args.out, room, views, args.rate)
    return 0


if __name__ == '__main__':
    sys.exit(main())
