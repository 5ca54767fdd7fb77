# SPDX-License-Identifier: Apache-2.0
"""The demo: replay the recording over ROS 2, let the node work, put its results in a folder.

The node runs in a process of its own; this one replays and records.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from tqdm import tqdm

from depth_pcd_ros.evaluate import metrics
from depth_pcd_ros.files.ply import write_ply
from depth_pcd_ros.networks.checkpoints import CheckpointError, resolve
from depth_pcd_ros.recordings.store import STORE
from depth_pcd_ros.results import outputs
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.show.preview import preview
from scenes import recording
from scenes.isolation import isolate

ROOT = Path(__file__).resolve().parent.parent
POINTS, DEPTH, DEPTH_INFO = '/points', '/depth/image', '/depth/camera_info'
TYPES = {f'/{topic}': output.type for topic, output in outputs(Settings()).items()}
# The demo is over when nothing has come for this long [s]; on a CPU, Depth Anything V2 Large takes
# several seconds for a frame.
PATIENCE = 60.0
START_TIMEOUT = 120.0  # [s]
# Range of the preview's depth colours [m].
NEAR, FAR = 0.8, 8.0

# Per topic and stamp [ns]: when the message was published or received, monotonic [s], and itself.
Messages = dict[str, dict[int, tuple[float, bytes]]]


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m scenes.demo', description=__doc__)
    parser.add_argument('--model', default='demo', help='as the parameter of the node')
    parser.add_argument('--out', type=Path, default=ROOT / 'out' / 'demo', help='folder')
    args = parser.parse_args()
    try:
        checkpoint = resolve(args.model)  # here, so that a download shows its progress
    except CheckpointError as err:
        print(f'demo: {err}', file=sys.stderr)
        return 1
    print(f'{checkpoint.path.name}: {checkpoint.licence_note}')
    rendered = render_recording(args.out)
    isolate()
    node = start_node(args.model)
    try:
        published, received = replay_and_record(rendered, node)
    except RuntimeError as err:
        print(f'demo: {err}', file=sys.stderr)
        return 1
    finally:
        stop(node)
    report = write_results(args.out, published, received)
    print(json.dumps(report, indent=2))
    lost = report['frames_in'] - report['clouds_out']
    if lost:
        print(f'demo: {lost} of {report["frames_in"]} frames gave no cloud', file=sys.stderr)
        return 1
    print(f'Look at {args.out / "preview.png"}, open {args.out / "cloud.ply"}.')
    return 0


def render_recording(out: Path) -> Path:
    """Render the recording if it is not there; return its folder."""
    folder, half = out / 'recording', out / 'rendering' / 'recording'
    if not folder.exists():
        shutil.rmtree(half.parent, ignore_errors=True)
        half.parent.mkdir(parents=True)
        command = [sys.executable, '-m', 'scenes.recording', str(half)]
        subprocess.run(command, check=True, cwd=ROOT)
        os.replace(half, folder)
        half.parent.rmdir()
    return folder


def start_node(model: str) -> subprocess.Popen[bytes]:
    """Start the node on the topics of the recording."""
    command = [sys.executable, '-m', 'depth_pcd_ros.ros.node', '--ros-args']
    for topic, to in (('image', recording.IMAGE), ('camera_info', recording.CAMERA_INFO)):
        command += ['-r', f'{topic}:={to}']
    for parameter in (f'model:={model}', 'frames:=all'):
        command += ['-p', parameter]
    return subprocess.Popen(command, cwd=ROOT)


def stop(node: subprocess.Popen[bytes]) -> None:
    """End the node as Ctrl-C does."""
    if node.poll() is None:
        node.send_signal(signal.SIGINT)
    try:
        node.wait(10.0)
    except subprocess.TimeoutExpired:
        node.kill()


def replay_and_record(folder: Path, node: subprocess.Popen[bytes]) -> tuple[Messages, Messages]:
    """Replay the recording and receive what the node makes of it.

    Returns:
        What was published and what was received, both by topic and stamp.

    Raises:
        RuntimeError: the node has ended, or does not listen.
    """
    import rclpy  # after `isolate`
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.qos import QoSProfile

    from depth_pcd_ros.ros.replay import Replayer, message_class

    published: Messages = {recording.IMAGE: {}}
    received: Messages = {topic: {} for topic in TYPES}
    frames = tqdm(desc='clouds', unit='cloud', mininterval=1.0)

    def on_publish(topic: str, data: bytes) -> None:
        if topic in published:
            published[topic][stamp_of(data)] = (time.monotonic(), data)

    def on_receive(topic: str, data: bytes) -> None:
        received[topic][stamp_of(data)] = (time.monotonic(), data)
        if topic == POINTS:
            frames.update()

    rclpy.init()
    recorder = rclpy.create_node('demo_recorder')
    for topic, name in TYPES.items():
        recorder.create_subscription(
            message_class(name),
            topic,
            lambda data, topic=topic: on_receive(topic, data),
            QoSProfile(depth=100),
            raw=True,
        )
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    spinner = threading.Thread(target=spin, name='recorder')
    spinner.start()
    try:
        replayer = Replayer(recorder, folder, (recording.IMAGE, recording.CAMERA_INFO))
        deadline = time.monotonic() + START_TIMEOUT
        while replayer.wait_for_subscribers(1.0):
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError('the node does not listen to the recording; it says why above')
        replayer.play(on_publish=on_publish)
        replayer.close()
        wait_for_clouds(len(published[recording.IMAGE]), received, node)
    finally:
        rclpy.try_shutdown()
        spinner.join()
        frames.close()
    published[recording.TRUTH] = read_truth(folder)
    return published, received


def wait_for_clouds(count: int, received: Messages, node: subprocess.Popen[bytes]) -> None:
    """Wait until all results are there, the node has ended, or nothing comes any more."""
    last, changed = -1, time.monotonic()
    while node.poll() is None and time.monotonic() - changed < PATIENCE:
        total = sum(map(len, received.values()))
        if total == count * len(received):
            return
        if total != last:
            last, changed = total, time.monotonic()
        time.sleep(0.05)


def write_results(out: Path, published: Messages, received: Messages) -> dict[str, Any]:
    """Write output.mcap, cloud.ply, preview.png and report.json; return the report."""
    write_mcap(out, received)
    images, clouds, depths = published[recording.IMAGE], received[POINTS], received[DEPTH]
    stamps = sorted(images.keys() & clouds.keys() & depths.keys())
    if stamps:
        draw(out, stamps[len(stamps) // 2], published, received)
    figures = []
    valid = []
    for stamp in stamps:
        depth = pixels(depths[stamp][1], np.float32)
        truth = pixels(published[recording.TRUTH][stamp][1], np.float32)
        valid.append(np.isfinite(depth).mean())
        figures.append(metrics.compare(depth, truth))
    latencies = [clouds[stamp][0] - images[stamp][0] for stamp in stamps]
    report = {
        'frames_in': len(images),
        'clouds_out': len(clouds),
        'latency_ms': {
            'p50': round(1e3 * float(np.percentile(latencies, 50)), 1) if stamps else None,
            'p99': round(1e3 * float(np.percentile(latencies, 99)), 1) if stamps else None,
        },
        'abs_rel': round(metrics.mean(figures).abs_rel, 4) if stamps else None,
        'delta1': round(metrics.mean(figures).delta1, 4) if stamps else None,
        'valid_fraction': round(float(np.mean(valid)), 4) if stamps else None,
        'versions': versions(),
    }
    (out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    return report


def write_mcap(out: Path, received: Messages) -> None:
    """Write what was received, in the order of the stamps, as `out`/output.mcap.

    With the metadata.yaml beside it, `out` is a rosbag2 folder too.
    """
    half = out / 'writing' / 'output'
    shutil.rmtree(half.parent, ignore_errors=True)
    half.parent.mkdir(parents=True)
    with Writer(half, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, name, typestore=STORE)
            for topic, name in TYPES.items()
        }
        for stamp in sorted(set().union(*received.values())):
            for topic, connection in connections.items():
                if stamp in received[topic]:
                    writer.write(connection, stamp, received[topic][stamp][1])
    for name in ('output.mcap', 'metadata.yaml'):
        os.replace(half / name, out / name)
    shutil.rmtree(half.parent)


def draw(out: Path, stamp: int, published: Messages, received: Messages) -> None:
    """Write cloud.ply and preview.png of one frame."""
    cloud = STORE.deserialize_cdr(received[POINTS][stamp][1], TYPES[POINTS])
    points = cloud.data.view('<f4').reshape(cloud.height, cloud.width, 4)
    info = STORE.deserialize_cdr(received[DEPTH_INFO][stamp][1], TYPES[DEPTH_INFO])
    write_ply(out / 'cloud.ply', points)
    picture = preview(
        pixels(published[recording.IMAGE][stamp][1], np.uint8),
        pixels(received[DEPTH][stamp][1], np.float32),
        points,
        focal=float(info.k[0]),
        near=NEAR,
        far=FAR,
    )
    cv2.imwrite(str(out / 'preview.png'), picture)


def stamp_of(data: bytes) -> int:
    """Return the stamp [ns] of a serialized message that begins with a header."""
    seconds, nanoseconds = np.frombuffer(data[4:12], '<u4').tolist()  # after CDR's own 4 bytes
    return int(seconds) * 10**9 + int(nanoseconds)


def pixels(data: bytes, dtype: type) -> np.ndarray:
    """Return the pixels of a serialized Image without padding, (H, W) or (H, W, 3)."""
    image = STORE.deserialize_cdr(data, 'sensor_msgs/msg/Image')
    shape = (image.height, image.width, -1)
    values = image.data.view(np.dtype(dtype).newbyteorder('<')).reshape(shape)
    return values[..., 0] if values.shape[-1] == 1 else values


def read_truth(folder: Path) -> dict[int, tuple[float, bytes]]:
    """Read the true depths of a recording by stamp."""
    with AnyReader([folder], default_typestore=STORE) as reader:
        connections = [c for c in reader.connections if c.topic == recording.TRUTH]
        return {
            stamp_of(bytes(data)): (0.0, bytes(data)) for _, _, data in reader.messages(connections)
        }


def versions() -> dict[str, str]:
    """Return the versions of the libraries."""
    names = ('depth_pcd_ros', 'torch', 'openvino', 'numpy', 'opencv-python-headless', 'rosbags')
    found = {'python': platform.python_version()}
    for name in (*names, 'ros-rclpy'):
        # ROS and OpenCV may come from the system
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


if __name__ == '__main__':
    sys.exit(main())
