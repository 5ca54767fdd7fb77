# SPDX-License-Identifier: Apache-2.0
"""Measure every engine and precision against torch in fp32 and against the machine's limit.

ViT-S with made-up weights, which cost what real ones do. The limit is the network's operations at
the speed of a large matrix product of the same precision, measured in the same run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import Row, medians
from depth_pcd_ros import engine
from depth_pcd_ros.engine import Engine, EngineError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.settings import EngineSettings, Settings
from test.support import golden

HEIGHT, WIDTH = 480, 640
CAMERA = Camera(WIDTH, HEIGHT, 500.0, 500.0, 319.5, 239.5)
SIZES = (252, 518)  # short side at the network [px]
CPU = (
    *(('openvino', 'bf16'), ('openvino', 'fp32'), ('onnx:cpu', 'fp32')),
    *(('cpu', 'bf16'), ('cpu', 'fp32')),
)
CUDA = (
    *(('cuda', 'fp16'), ('cuda', 'bf16'), ('cuda', 'fp32')),
    *(('onnx:cuda', 'fp16'), ('onnx:tensorrt', 'fp16')),
)
# How many times faster than eager torch in fp32, with the official pre- and post-processing.
REQUIRED = {('openvino', 'bf16', 518): (2.1, 2.5), ('cuda', 'fp16', 518): (8.0, 20.0)}
# From a picture to its cloud, both in host memory [ms].
CLOUDS = {('openvino', 'bf16', 518): (None, None), ('cuda', 'fp16', 518): (3.0, 1.5)}
AGREEMENT = {'fp32': 1e-3, 'fp16': 0.01, 'bf16': 0.01}  # mean of the relative difference


def measure(repetitions: int) -> list[Row]:
    """Time every engine that can be had here, then its start and its memory."""
    rounds = max(repetitions // 10, 3)
    rows = []
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        model = golden.official_file(Path(folder), golden.INDOOR, 0)
        wanted = (*CPU, *(CUDA if torch.cuda.is_available() else ()))
        for side in SIZES:
            rows += _times(model, side, wanted, rgb, rounds)
        for device, precision in wanted:
            rows += _start(model, device, precision)
    if not torch.cuda.is_available():
        print('network: no GPU that torch can use, CUDA is left out', file=sys.stderr)
    return rows


def _times(
    model: str,
    side: int,
    wanted: tuple[tuple[str, str], ...],
    rgb: np.ndarray,
    rounds: int,
) -> list[Row]:
    """Time all engines for one size: host picture in, host depth out."""
    network = checkpoints.of_settings(EngineSettings(model, input_size=side))
    size = network.network_size(HEIGHT, WIDTH)
    on_gpu = torch.cuda.is_available()
    official = Official(network, 'cuda' if on_gpu else 'cpu')
    expected = official(rgb)
    engines: dict[tuple[str, str], Engine] = {}
    for device, precision in wanted:
        try:
            made = engine.create(
                EngineSettings(model, input_size=side, device=device, precision=precision)
            )
        except EngineError as err:
            print(f'network: {device} in {precision} is left out: {err}', file=sys.stderr)
            continue
        if (made.device.split(':')[0], made.precision) != (device.split(':')[0], precision):
            print(f'network: {device} in {precision} is left out: refused', file=sys.stderr)
            made.close()
            continue
        difference = np.mean(np.abs(made.infer(rgb, CAMERA) - expected) / expected)
        if difference > AGREEMENT[precision]:  # before anything is timed
            raise RuntimeError(f'{device} in {precision} is off by {difference:.2%} on average')
        engines[device, precision] = made

    runs: dict[str, Timed] = {'official': Timed(lambda: official(rgb))}
    products: dict[tuple[str, str], Product] = {}
    for (device, precision), made in engines.items():
        kind = 'cuda' if (device, precision) in CUDA else 'cpu'
        products[kind, precision] = Product(kind, precision)
        runs[f'{device} {precision}'] = Timed(lambda made=made: made.infer(rgb, CAMERA))
        if (device, precision, side) in CLOUDS:
            runs[f'cloud {device} {precision}'] = Timed(clouds_of(made, rgb))
    for (kind, precision), product in products.items():
        runs[f'product {kind} {precision}'] = Timed(product)
    times = medians(runs, rounds, warm_up=1)

    operations = official.operations(size)
    rows = []
    for (device, precision), made in engines.items():
        kind = 'cuda' if (device, precision) in CUDA else 'cpu'
        product = times[f'product {kind} {precision}']
        limit = product * operations / products[kind, precision].operations
        value = times[f'{device} {precision}']
        bounds = REQUIRED.get((device, precision, side), (None, None))
        memory = made.device_memory()
        notes = [
            f'{value / limit:.2f}x the limit of {limit:.3g} ms, {operations / 1e9:.0f} GFLOP at '
            f'{operations / limit / 1e6:.0f} GFLOP/s'
        ]
        if kind == 'cpu':
            busy, official_busy = runs[f'{device} {precision}'].busy, runs['official'].busy
            notes.append(f'{busy:.3g} ms of processor time, {official_busy / busy:.2f}x less')
        if memory is not None:
            notes.append(f'{memory / 2**20:.0f} MiB of GPU memory')
        rows.append(
            Row(
                stage=f'network, {made.device} {precision}',
                size=f'{size[1]}x{size[0]}',
                value=value,
                against='official code, torch fp32',
                reference=times['official'],
                faster=True,
                required=bounds[0],
                aim=bounds[1],
                note='; '.join(notes),
            )
        )
        if (device, precision, side) in CLOUDS:
            required, aim = CLOUDS[device, precision, side]
            rows.append(
                Row(
                    stage=f'picture to cloud, {made.device} {precision}',
                    size=f'{WIDTH}x{HEIGHT}',
                    value=times[f'cloud {device} {precision}'],
                    required=required,
                    aim=aim,
                )
            )
        made.close()
    return rows


def clouds_of(made: Engine, rgb: np.ndarray) -> Callable[[], Any]:
    """Return a function that makes the cloud of a picture, with the default filters."""
    pipeline = Pipeline(made, Settings())
    calibration = Calibration(WIDTH, HEIGHT, (500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0))
    return lambda: pipeline.points(pipeline.process(Picture(rgb, calibration)))


class Timed:
    """A function, its times and its processor times, which suffer less from other programs."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._seconds: list[float] = []

    def __call__(self) -> None:
        """Run it."""
        start = time.process_time()
        self._run()
        self._seconds.append(time.process_time() - start)

    @property
    def busy(self) -> float:
        """Return the median of its processor time [ms]."""
        return 1e3 * statistics.median(self._seconds[1:])


class Official:
    """The official script's way: its pre- and post-processing, the network in eager torch, fp32."""

    def __init__(self, network: Family, device: str) -> None:
        self._known, self._device = network, device
        self._network = network.load().to(device)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Estimate the depth (H, W) [m] of a picture (H, W, 3) uint8."""
        size = self._known.network_size(*rgb.shape[:2])
        resized = cv2.resize(rgb / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
        x = ((resized - self._known.mean) / self._known.std).transpose(2, 0, 1)[None]
        with torch.no_grad():
            tensor = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self._device)
            depth = self._network(tensor)[:, None]
            depth = F.interpolate(depth, rgb.shape[:2], mode='bilinear', align_corners=True)
            result: np.ndarray = depth[0, 0].cpu().numpy()
        return result

    def operations(self, size: tuple[int, int]) -> int:
        """Count the floating-point operations of the network for a picture of this size."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self._network(torch.zeros(1, 3, *size, device=self._device))
        return counter.get_total_flops()


class Product:
    """A matrix product, large enough to be as fast as the machine can."""

    def __init__(self, device: str, precision: str) -> None:
        side = 8192 if device == 'cuda' else 2048
        dtype = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}[precision]
        self._a = torch.rand(side, side, device=device, dtype=dtype)
        self.operations = 2 * side**3

    def __call__(self) -> None:
        """Compute it, and wait for it."""
        with torch.inference_mode():
            self._a @ self._a
        if self._a.is_cuda:
            torch.cuda.synchronize()


START = """
import sys, time

import json
import numpy as np
from depth_pcd_ros import engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import EngineSettings
camera = Camera(640, 480, 500.0, 500.0, 319.5, 239.5)
made = engine.create(EngineSettings(sys.argv[2], device=sys.argv[3], precision=sys.argv[4]))
made.infer(np.zeros((480, 640, 3), np.uint8), camera)
seconds = time.time() - float(sys.argv[1])
busy = time.process_time()
for _ in range(3):
    made.infer(np.zeros((480, 640, 3), np.uint8), camera)
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
megabytes = int(status['VmRSS'].split()[0]) * 1024 / 1e6
print(json.dumps({'seconds': seconds, 'busy': busy, 'megabytes': megabytes}))
"""


def _start(model: str, device: str, precision: str) -> list[Row]:
    """Measure the second start to a first depth, and memory, of a process that only does that."""
    results = []
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, '-c', START, str(time.time()), model, device, precision],
            env={**os.environ, 'OMP_WAIT_POLICY': 'PASSIVE'},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            return []  # as said above, this device has not this precision
        results.append(json.loads(run.stdout))
    median = {k: statistics.median(r[k] for r in results[1:]) for k in results[0]}
    judged = (device, precision) == ('openvino', 'bf16')
    told = f'{median["busy"]:.1f} s of processor time; first start {results[0]["seconds"]:.1f} s'
    return [
        Row(
            stage=f'{what}, {device} {precision}',
            size=f'{WIDTH}x{HEIGHT}',
            value=median[key],
            unit=unit,
            required=required if judged else None,
            aim=aim if judged else None,
            note=note,
        )
        for what, key, unit, required, aim, note in (
            ('second start to first depth', 'seconds', 's', 4.0, 2.0, told),
            ('resident memory', 'megabytes', 'MB', 700.0, 400.0, ''),
        )
    ]
