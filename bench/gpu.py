# SPDX-License-Identifier: Apache-2.0
"""Prove a GPU in one call: golden outputs, faults provoked for real, latencies, memory, a soak.

`make gpu`, or `python -m bench.gpu --device cpu` with less of it where there is none. It needs no
network: the weights are made up, which costs what real ones do. It ends with 1 where a check fails.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import measure
from bench.measure import Row, medians
from bench.network import Official
from bench.scene import make_scene
from depth_pcd_ros import engine
from depth_pcd_ros.engine import Engine, EngineError, cache
from depth_pcd_ros.engine.device_depth import DeviceDepth, Lane, wait
from depth_pcd_ros.engine.host import HostEngine
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.pipeline import Estimate, Pipeline, Prepared
from depth_pcd_ros.settings import EngineSettings, Settings
from test.support import golden
from test.support.fake_engine import FakeEngine

NAMES = {
    'small': ('dav2_vits', golden.INDOOR),
    'base': ('dav2_vitb', 'depth_anything_v2_metric_hypersim_vitb.pth'),
    'large': ('dav2_vitl', 'depth_anything_v2_metric_hypersim_vitl.pth'),
}
# Mean of the relative difference from the recorded depth of the official network.
AGREEMENT = {'fp32': 1e-4, 'fp16': 5e-3, 'bf16': 2e-2}
WIDTHS = (448, 504, 560, 616, 672)  # of pictures 336 px high: five sizes at the network
KEPT = 3  # of them, that the engine may keep ready: so it drops and records again, each round
GROWTH = 1.1  # of memory, that a soak may show
TIME = 570.0  # [s] that all of it may take; the soak, which comes last, is cut
# Of the small network at 518x686 on a fast GPU: it alone [ms], and how much faster than official.
GOALS = {'network': 1.0, 'ratio': 20.0}


class Check(NamedTuple):
    """Something that must hold, and what was seen."""

    name: str
    passed: bool
    seen: str


class Plan(NamedTuple):
    """How much is done: all of it on a GPU, a small part on a CPU."""

    golden: tuple[tuple[str, int], ...]  # recorded outputs: name and number
    input_size: int  # of the provocations
    rounds: int  # of the five sizes
    networks: tuple[str, ...]
    input_side: int  # of the latencies: the short side at the network
    pictures: tuple[tuple[int, int], ...]  # height and width of those
    batches: tuple[int, ...]
    clouds: tuple[tuple[int, int], ...]  # width and height
    repetitions: int
    soak: float  # [s]


ON_A_GPU = Plan(
    golden=(('vits', 0), ('more', 0), ('more', 3)),
    input_size=336,
    rounds=100,
    networks=('small', 'base', 'large'),
    input_side=518,
    pictures=((518, 518), (480, 640)),  # 518x518 and, as all of 4:3, 686x518 at the network
    batches=(1, 4, 8),
    clouds=((640, 480), (1280, 720), (1920, 1080)),
    repetitions=20,
    soak=300.0,
)
ON_A_CPU = Plan((('vits', 0),), 28, 3, ('small',), 126, ((96, 128),), (1, 2), ((160, 120),), 3, 5.0)


def main() -> int:
    """Parse the command line, check, measure, write the report; return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m bench.gpu', description=__doc__)
    parser.add_argument('--device', default='cuda', help='cuda, cuda:N or cpu (default: cuda)')
    parser.add_argument('--soak', type=float, metavar='SECONDS', help='default: 300, on a CPU 5')
    parser.add_argument('--out', type=Path, default=Path('out/gpu'), metavar='FOLDER')
    args = parser.parse_args()
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    begun = time.monotonic()
    plan = ON_A_CPU if args.device == 'cpu' else ON_A_GPU
    plan = plan._replace(soak=plan.soak if args.soak is None else args.soak)
    checks: list[Check] = []
    with tempfile.TemporaryDirectory() as folder:
        # Nothing that others have converted goes for these, and nothing of these stays.
        os.environ[cache.FOLDER_VARIABLE] = str(Path(folder) / 'cache')
        models = {name: made_up(Path(folder), name) for name in plan.networks}
        small = EngineSettings(models['small'], device=args.device, input_size=plan.input_size)

        def note(part: Iterator[Check]) -> None:
            for check in part:
                print(line_of(check), flush=True)
                checks.append(check)

        there = engines_there(args.device)
        for recorded in plan.golden:  # the first by all; those of ONNX take minutes to build
            some = there if recorded == plan.golden[0] else there[:2]
            note(golden_outputs(Path(folder), *recorded, some))
        for provoke in (five_sizes, two_engines, memory_full, close_while_running):
            note(provoke(small, plan))
        rows = [row for name in plan.networks for row in latency(models[name], name, args, plan)]
        rows += cloud_times(args.device, plan)
        left = TIME - (time.monotonic() - begun)
        note(soak(small, min(plan.soak, max(left, 10.0))))
    machine = {**measure.machine(), 'device': name_of(args.device)}
    text = '\n'.join(
        [
            f'{machine["device"]}, {machine["processor"]}, torch {torch.__version__}',
            *map(line_of, checks),
            measure.table(rows),
        ]
    )
    print(measure.table(rows))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'report.txt').write_text(f'{text}\n')
    report = {
        'machine': machine,
        'checks': [check._asdict() for check in checks],
        'rows': measure.as_json(rows),
    }
    (args.out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    failed = sum(not check.passed for check in checks)
    print(f'{len(checks) - failed} of {len(checks)} checks passed, written to {args.out}')
    return 1 if failed else 0


def made_up(folder: Path, name: str) -> str:
    """Write a checkpoint with weights of the golden recipe; return its path."""
    keys, filename = NAMES[name]
    torch.save(golden.weights(keys, 0), folder / filename)
    return str(folder / filename)


def name_of(device: str) -> str:
    """Return what the device calls itself."""
    return 'cpu' if device == 'cpu' else torch.cuda.get_device_name(device)


def line_of(check: Check) -> str:
    """Return a check as a line of the report."""
    return f'{"ok  " if check.passed else "FAIL"} {check.name}: {check.seen}'


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Make a picture (H, W, 3) of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def camera_of(rgb: np.ndarray) -> Camera:
    """Return a camera for pictures of this size."""
    height, width = rgb.shape[:2]
    return Camera(width, height, 500.0, 500.0, (width - 1) / 2, (height - 1) / 2)


def engines_there(device: str) -> list[tuple[str, str]]:
    """Return devices with their precisions: this one, and the providers of ONNX Runtime for it."""
    gpu = device != 'cpu'
    found = [(device, 'fp32'), (device, 'fp16' if gpu else 'bf16')]
    if all(map(importlib.util.find_spec, ('onnx', 'onnxruntime'))):
        from depth_pcd_ros.engine.onnx.runtime import PROVIDERS, onnxruntime

        there = onnxruntime().get_available_providers()
        names = [n for n, p in PROVIDERS.items() if p in there and (n != 'cpu' or not gpu)]
        found += [(f'onnx:{name}', precision) for name in names for precision in ('fp32', 'fp16')]
    return found


def golden_outputs(
    folder: Path, name: str, index: int, engines: list[tuple[str, str]]
) -> Iterator[Check]:
    """Compare engines, each a device and a precision, with an output of the official network."""
    recorded = {'encoder': 'vits', 'seed': 0, 'max_depth': 20.0, **golden.case(name, index)}
    rgb, expected = recorded['rgb'], recorded['depth']
    encoder, seed = str(recorded['encoder']), int(recorded['seed'])
    model = golden.official_file(folder, f'{encoder}-{seed}.pth', seed, f'dav2_{encoder}')
    for kind, precision in engines:
        what = f'golden output {name} {index}, {encoder}, {kind} {precision}'
        try:
            made = engine.create(
                EngineSettings(
                    model,
                    device=kind,
                    precision=precision,
                    max_depth=float(recorded['max_depth']),
                    input_size=int(recorded['input_size']),
                )
            )
            for _ in range(2):  # the second is the recorded run
                depth = made.infer(rgb, camera_of(rgb))
        except (EngineError, FrameError) as err:
            yield Check(what, False, str(err))
            continue
        off = float(np.mean(np.abs(depth - expected) / expected))
        same = (made.device.partition(':')[0], made.precision) == (
            kind.partition(':')[0],
            precision,
        )
        attention = ', with attention in fp32' if made.fp32_attention else ''
        seen = f'off by {off:.4%} on average{attention}'
        if not same:
            seen = f'was refused, and {made.device} in {made.precision} ran'
        yield Check(what, same and off <= AGREEMENT[precision], seen)
        made.close()


def five_sizes(settings: EngineSettings, plan: Plan) -> Iterator[Check]:
    """Run pictures of five sizes in turn, which record, drop and record again."""
    made = engine.create(settings)
    made.sizes = KEPT
    pictures = [picture(336, width) for width in WIDTHS]
    first = [made.infer(rgb, camera_of(rgb)) for rgb in pictures]
    worst, memory = 0.0, []
    for _ in range(plan.rounds):
        for rgb, expected in zip(pictures, first, strict=True):
            depth = made.infer(rgb, camera_of(rgb))
            worst = max(worst, float(np.mean(np.abs(depth - expected) / expected)))
        memory.append(made.device_memory() or resident())
    made.close()
    half = len(memory) // 2
    grown = max(memory[half:]) / max(memory[:half])
    yield Check(
        'five sizes in turn',
        worst <= 1e-3 and grown <= GROWTH,
        f'{plan.rounds} rounds, off the first one by {worst:.2e} at most, memory of the second '
        f'half {grown:.2f}x, {memory[-1] / 2**20:.0f} MiB',
    )


def two_engines(settings: EngineSettings, _: Plan) -> Iterator[Check]:
    """Run two engines at once, in a thread each; then close one and go on with the other."""
    rgb = picture(336, 448)
    both = [engine.create(settings) for _ in range(2)]
    expected = both[0].infer(rgb, camera_of(rgb))
    found: list[Any] = []

    def run(made: Engine) -> None:
        try:
            found.extend(made.infer(rgb, camera_of(rgb)) for _ in range(10))
        except Exception as err:  # whatever it is, it is what is looked for
            found.append(err)

    threads = [threading.Thread(target=run, args=(made,)) for made in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both[0].close()
    run(both[1])
    both[1].close()
    yield _all_alike('two engines, one of them closed', found, expected, 30)


def memory_full(settings: EngineSettings, _: Plan) -> Iterator[Check]:
    """Take all memory of the GPU: a frame is lost with its reason, and the next one is not."""
    if settings.device == 'cpu':
        return
    made = engine.create(settings)
    rgb, other = picture(336, 448), picture(336, 672)
    expected = made.infer(rgb, camera_of(rgb))
    blocks, size = [], 2**30
    while size >= 2**20:
        try:
            blocks.append(torch.empty(size, dtype=torch.uint8, device=settings.device))
        except torch.OutOfMemoryError:
            size //= 2
    try:
        made.infer(other, camera_of(other))
        seen = 'it had room all the same'
    except FrameError as err:
        seen = err.cause
    blocks.clear()
    torch.cuda.empty_cache()
    again = made.infer(rgb, camera_of(rgb))
    made.close()
    alike = bool(np.mean(np.abs(again - expected) / expected) <= 1e-3)
    yield Check('memory full', seen == 'out_of_memory' and alike, f'{seen}, then as before')


def close_while_running(settings: EngineSettings, _: Plan) -> Iterator[Check]:
    """Close an engine while a thread feeds it: it is told so, and nothing crashes."""
    made = engine.create(settings)
    rgb, ended = picture(336, 448), list[str]()
    running = threading.Event()

    def run() -> None:
        try:
            while True:
                made.infer(rgb, camera_of(rgb))
                running.set()
        except RuntimeError as err:
            ended.append(str(err))

    thread = threading.Thread(target=run)
    thread.start()
    running.wait(60)
    made.close()
    thread.join(60)
    yield Check('closed while it runs', ended == ['the engine is closed'], ', '.join(ended))


def soak(settings: EngineSettings, seconds: float) -> Iterator[Check]:
    """Run pictures of two sizes for a while; nothing changes and nothing grows."""
    made = engine.create(settings)
    pictures = [picture(336, 448), picture(336, 672)]
    for _ in range(3):
        first = [made.infer(rgb, camera_of(rgb)) for rgb in pictures]
    start, frames, worst = time.monotonic(), 0, 0.0
    memory = resident() + (made.device_memory() or 0)
    while time.monotonic() - start < seconds:
        for rgb, expected in zip(pictures, first, strict=True):
            depth = made.infer(rgb, camera_of(rgb))
            worst = max(worst, float(np.max(np.abs(depth - expected) / expected)))
            frames += 1
    grown = (resident() + (made.device_memory() or 0)) / memory
    made.close()
    yield Check(
        'soak',
        frames > 0 and worst <= 1e-2 and grown <= GROWTH,
        f'{frames} frames in {seconds:.0f} s, off the first by {worst:.1e} at most, memory '
        f'{grown:.2f}x',
    )


def latency(model: str, name: str, args: argparse.Namespace, plan: Plan) -> Iterator[Row]:
    """Time a network for sizes and batches, from host to host and alone, beside official code."""
    for shape in plan.pictures:
        settings = EngineSettings(model, device=args.device, input_size=plan.input_side)
        made = engine.create(settings)
        rgb = picture(*shape)
        height, width = made.network.network_size(*shape)
        runs: dict[str, Callable[[], Any]] = {
            'official': partial(Official(checkpoints.of_settings(settings), args.device), rgb)
        }
        for batch in plan.batches:
            runs[f'{batch}'] = partial(made.infer_batch, [rgb] * batch, [camera_of(rgb)] * batch)
            for _ in range(2):  # the second is recorded
                runs[f'{batch}']()
            runs[f'{batch} alone'] = alone(made, rgb, batch)
        times = medians(runs, plan.repetitions, warm_up=3)
        memory = made.device_memory()
        fast = args.device != 'cpu' and (name, height, width) == ('small', 518, 686)
        for batch in plan.batches:
            what = f'{name}, {made.device} {made.precision}, batch of {batch}'
            goals = GOALS if fast and batch == 1 else {}
            yield Row(
                stage=what,
                size=f'{width}x{height}',
                value=times[f'{batch}'] / batch,
                unit='ms a picture',
                against='official code, eager fp32',
                reference=times['official'],
                faster=True,
                aim=goals.get('ratio'),
                note=f'{memory / 2**20:.0f} MiB of GPU memory' if memory is not None else '',
            )
            yield Row(
                stage=f'{what}, the network alone',
                size=f'{width}x{height}',
                value=times[f'{batch} alone'] / batch,
                unit='ms a picture',
                aim=goals.get('network'),
            )
        made.close()


def cloud_times(device: str, plan: Plan) -> Iterator[Row]:
    """Time what follows the network: where the depth is, and on the host, to which it is sent."""
    lane, pipeline = Lane(device), Pipeline(FakeEngine(), Settings())
    for width, height in plan.clouds:
        scene = make_scene(width, height)
        maps = torch.tensor(scene.depth, device=device)[None]
        prepared = pipeline.prepare(Picture(scene.rgb, scene.calibration()))
        runs = {
            str(stays): partial(make_cloud, maps, lane, pipeline, prepared, stays, Buffer())
            for stays in (True, False)
        }
        times = medians(runs, plan.repetitions, warm_up=3)
        yield Row(
            stage=f'depth to cloud, {name_of(device)}',
            size=f'{width}x{height}',
            value=times['True'],
            against='sent back, on the host',
            reference=times['False'],
            faster=True,
        )


def make_cloud(
    maps: torch.Tensor,
    lane: Lane,
    pipeline: Pipeline,
    prepared: Prepared,
    stays: bool,
    memory: Buffer,
) -> None:
    """Make the cloud of what a network gave, (C, H, W), in the memory of a message."""
    own = maps.clone()
    wait(lane.device)
    depth = DeviceDepth(own, pipeline.engine.network, prepared.view.whole, lane)
    frame = pipeline.finish(Estimate(prepared, depth if stays else depth.numpy(), 0.0))
    pipeline.points(frame, memory)


def alone(made: Engine, rgb: np.ndarray, batch: int) -> Callable[[], Any]:
    """Return what runs the network on pictures that are where it is; on a GPU with the resizing."""
    if isinstance(made, HostEngine):
        x = np.empty((batch, 3, *made.network.network_size(*rgb.shape[:2])), np.float32)
        for entering in x:
            made.network.enter(rgb, entering)
        return partial(made._infer, x)
    shape = (batch, *rgb.shape, *rgb.shape[:2])
    recorded = made._graphs[shape]  # type: ignore[attr-defined]

    def run() -> None:
        recorded._graph.replay()
        torch.cuda.synchronize(made.device)

    return run


def resident() -> int:
    """Return what this process holds of the machine's memory [bytes]."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('VmRSS')).split()[1]) * 1024


def _all_alike(name: str, found: list[Any], expected: np.ndarray, count: int) -> Check:
    """Check that all depths there should be are there and as the first one."""
    errors = [str(one) for one in found if isinstance(one, Exception)]
    if errors:
        return Check(name, False, errors[0])
    worst = max(float(np.mean(np.abs(one - expected) / expected)) for one in found)
    passed = len(found) == count and worst <= 1e-3
    return Check(name, passed, f'{len(found)} depths, off the first by {worst:.1e} at most')


if __name__ == '__main__':
    sys.exit(main())
