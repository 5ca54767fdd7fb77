# SPDX-License-Identifier: Apache-2.0
"""Every model by its size: time and memory of the default engine, with made-up weights.

Those cost what real ones do, so nothing is downloaded. Each runs in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from bench.measure import Row
from test.support import golden

HEIGHT, WIDTH = 480, 640
# name: the golden set's name of the network, the file's, and `input_size` [px]: its own, and less.
MODELS = {
    'indoor-small': ('dav2_vits', 'metric_hypersim.safetensors', (518, 252)),
    'indoor-base': ('dav2_vitb', 'metric_hypersim.safetensors', (518, 252)),
    'indoor-large': ('dav2_vitl', 'metric_hypersim.safetensors', (518, 252)),
    'da3-large': ('da3_vitl', 'model.safetensors', (504, 252)),
}

ONE = """
import json, re, resource, statistics, sys, time
import numpy as np
from depth_pcd_ros import engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import EngineSettings

model, side, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = time.perf_counter()
made = engine.create(EngineSettings(model, input_size=side))
camera = Camera(640, 480, 500.0, 500.0, 319.5, 239.5)
rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
made.infer(rgb, camera)
begun = time.perf_counter() - start
times, busy = [], time.process_time()
for _ in range(rounds):
    start = time.perf_counter()
    made.infer(rgb, camera)
    times.append(1e3 * (time.perf_counter() - start))
busy = 1e3 * (time.process_time() - busy) / rounds
status = open('/proc/self/status').read()
size = made.network.network_size(480, 640)
print(json.dumps({
    'device': f'{made.device} {made.precision}', 'size': f'{size[1]}x{size[0]}', 'start': begun,
    'ms': statistics.median(times), 'least': min(times), 'busy': busy,
    'MB': int(re.search(r'VmRSS:\\s+(\\d+)', status)[1]) * 1.024e-3,
    'peak of the first start': resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1.024e-3,
}))
"""


def measure(repetitions: int) -> list[Row]:
    """Time and memory of each."""
    rows = []
    for name, (network, filename, sides) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / filename
            save_file(golden.weights(network, 0), path)
            run = _runner(path, max(repetitions // 10, 3), folder)
            first = run(sides[0])  # converts it
            for side in sides:
                found = run(side)
                note = (
                    f'least {found["least"]:.0f} ms, {found["busy"]:.0f} ms of processor time; '
                    f'{found["MB"]:.0f} MB resident; start {found["start"]:.1f} s'
                )
                if side == sides[0]:
                    note += (
                        f', the first {first["start"]:.1f} s, its converter with '
                        f'{first["peak of the first start"]:.0f} MB; the file has '
                        f'{path.stat().st_size / 1e6:.0f} MB'
                    )
                stage = f'{name}, {found["device"]}'
                rows.append(Row(stage=stage, size=found['size'], value=found['ms'], note=note))
    return rows


def _runner(path: Path, rounds: int, cache: str) -> Callable[[int], dict[str, Any]]:
    def run(side: int) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, '-c', ONE, path, str(side), str(rounds)],
            env={**os.environ, 'OMP_WAIT_POLICY': 'PASSIVE', 'DEPTH_PCD_ROS_CACHE': cache},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run
