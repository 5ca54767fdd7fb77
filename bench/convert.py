# SPDX-License-Identifier: Apache-2.0
"""Compare depth-pcd convert with the script that Depth Anything V2 ships, on the same photos.

    python -m bench.convert --official Depth-Anything-V2/metric_depth [--model CHECKPOINT]

The script needs Open3D; of torchvision it imports one class, which is put in its place here where
torchvision is missing. Both run as commands, alternately, with one photo and with all of them: the
difference is the time for the other photos, without the time to start, and a run before them all
lets convert prepare the network, which it keeps. The processor's time is measured, too: it suffers
less from what else the machine does. Without a checkpoint the weights are random, which takes the
same time. The script runs the network at the height of the photo, 490 px after rounding; convert at
518 px, unless --input-size says otherwise.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.engine import create
from depth_pcd_ros.files.ply import write_ply
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.inputs.photos import read_photo
from depth_pcd_ros.settings import EngineSettings

ROOT = Path(__file__).resolve().parent.parent
NAME = 'depth_anything_v2_metric_hypersim_vits.pth'
FOCAL = 0.6 * 784  # [px], which the script takes for any photo
# torchvision.transforms.Compose, as far as the script uses it, for machines without torchvision.
SHIM = """
class Compose:
    def __init__(self, transforms): self.transforms = transforms
    def __call__(self, x):
        for transform in self.transforms: x = transform(x)
        return x
"""


def make_photos(folder: Path, count: int) -> None:
    """Write VGA photos of rendered rooms."""
    from scenes import pool

    folder.mkdir()
    for i in range(count):
        rgb = pool.picture(700_000 + i % 5).rgb  # rendering takes longer than the benchmark
        cv2.imwrite(str(folder / f'{i:03d}.png'), np.roll(rgb, i, axis=1)[..., ::-1])


def make_model(path: Path) -> None:
    """Write an official checkpoint with random weights."""
    import torch

    from depth_pcd_ros.networks.modules.depth_anything_v2 import DepthAnythingV2
    from depth_pcd_ros.networks.modules.dinov2 import ENCODERS

    torch.save(DepthAnythingV2(ENCODERS['vits'], 20.0).state_dict(), path)


def run(command: list[str], **environment: str) -> np.ndarray:
    """Run a command; return how long it took and its processor time [s]."""
    start = now()
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f'{" ".join(command)} has failed:\n{done.stderr}')
    return now() - start


def now() -> np.ndarray:
    """Return the time, and the processor time of all commands so far [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter(), used.ru_utime + used.ru_stime])


def run_convert(photos: Path, out: Path, model: Path, size: int) -> np.ndarray:
    """Time depth-pcd convert, as `run` does."""
    camera = ['--fx', FOCAL, '--fy', FOCAL, '--cx', 320, '--cy', 240]
    command = ['-m', 'depth_pcd_ros.cli', 'convert', photos, '-o', out, '--model', model, *camera]
    command += ['--input-size', size]
    return run([str(word) for word in command])


def run_official(photos: Path, out: Path, model: Path, folder: Path, shim: Path) -> np.ndarray:
    """Time the official script, as `run` does."""
    command = [folder / 'depth_to_pointcloud.py', '--encoder', 'vits', '--load-from', model]
    command += ['--max-depth', 20, '--img-path', photos, '--outdir', out]
    path = os.pathsep.join([os.environ.get('PYTHONPATH', ''), str(shim)]).strip(os.pathsep)
    return run([str(word) for word in command], PYTHONPATH=path)


def stages(photos: Path, model: Path, size: int, out: Path) -> dict[str, float]:
    """Time each stage of convert for one photo, one after another: medians [ms]."""
    engine = create(EngineSettings(str(model), input_size=size))
    times: dict[str, list[float]] = {'read': [], 'network': [], 'points and write': []}
    for path in sorted(photos.iterdir()):
        marks = [time.perf_counter()]
        rgb, _ = read_photo(path)
        marks.append(time.perf_counter())
        height, width = rgb.shape[:2]
        camera = Camera(width, height, FOCAL, FOCAL, width / 2, height / 2)
        depth = engine.infer(rgb, camera)
        marks.append(time.perf_counter())
        write_ply(out / f'{path.stem}.ply', pack_points(depth, camera.ray_maps, rgb))
        marks.append(time.perf_counter())
        for name, seconds in zip(times, np.diff(marks), strict=True):
            times[name].append(1e3 * float(seconds))
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def main() -> int:
    """Measure and print a report as JSON."""
    parser = argparse.ArgumentParser(
        prog='python -m bench.convert', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--official', type=Path, required=True, help='its folder metric_depth')
    parser.add_argument('--model', type=Path, help='an official ViT-S checkpoint')
    parser.add_argument('--input-size', type=int, default=0, help="px, default: the model's own")
    parser.add_argument('--photos', type=int, default=50)
    parser.add_argument('--repeat', type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = args.model or folder / NAME
        if args.model is None:
            make_model(model)
        shim = folder / 'shim'
        (shim / 'torchvision').mkdir(parents=True)
        (shim / 'torchvision' / '__init__.py').touch()
        (shim / 'torchvision' / 'transforms.py').write_text(SHIM)
        many, one = folder / 'many', folder / 'one'
        make_photos(many, args.photos)
        make_photos(one, 1)

        run_convert(one, folder / 'out-first', model, args.input_size)
        per_photo: dict[str, list[np.ndarray]] = {'convert': [], 'official': []}
        for i in range(args.repeat):
            outs = [folder / f'out-{i}-{n}' for n in range(4)]
            differences = {
                'convert': run_convert(many, outs[0], model, args.input_size)
                - run_convert(one, outs[1], model, args.input_size),
                'official': run_official(many, outs[2], model, args.official, shim)
                - run_official(one, outs[3], model, args.official, shim),
            }
            for name, difference in differences.items():
                per_photo[name].append(difference / (args.photos - 1))
        report: dict[str, object] = {'photos': args.photos, 'input_size': args.input_size}
        for i, kind in enumerate(('seconds', 'processor_seconds')):
            times = {name: [float(pair[i]) for pair in pairs] for name, pairs in per_photo.items()}
            ratios = [a / b for a, b in zip(times['convert'], times['official'], strict=True)]
            report[f'{kind}_per_photo'] = {n: np.round(t, 3).tolist() for n, t in times.items()}
            report[f'{kind}_ratio'] = round(statistics.median(ratios), 3)
        report['stages_ms'] = stages(many, model, args.input_size, folder / 'stages')
    print(json.dumps(report, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
