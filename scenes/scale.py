# SPDX-License-Identifier: Apache-2.0
"""Measure the sources of true scale on rooms that are known: `python -m scenes.scale`.

Drives through rooms: the true depth times a scale, per recording or drifting within one, blurred as
a network blurs it and with the smooth error that a network makes. What is measured is the median
over pixels of |depth / truth - 1|, from the tenth frame on. A model's own depth of the pictures is
measured in the same way, at 2 Hz.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from depth_pcd_ros import engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.stage import ScaleStage
from depth_pcd_ros.settings import EngineSettings, Settings
from depth_pcd_ros.sync.readings import Evidence, Header, PointsReading, RangeReading
from scenes import EVALUATION_SEEDS
from scenes.edges import blurred
from scenes.furniture import make_room
from scenes.recording import drive
from scenes.render import View, render, render_depth
from scenes.views import CAMERA_HEIGHT, PITCH

FRAMES, RATE = 60, 10.0  # of a recording, Hz
DRIFT_FRAMES = 59  # from one end of SCALES to the other
WARM_UP = 1.0  # s that the correction has to find the scale
MODEL_EVERY = 5  # frames, since pictures take long to render
SCALES = (0.8, 1.25)
NETWORK_SIZE = 252  # px, short side
# The demo model's error on unseen rooms, beside one factor: standard deviation 3 %, half of it
# within 40 px of a picture of 640. Here, two octaves of 2 % in all that change within a second.
NOISE = ((60, 0.016), (20, 0.012))  # standard deviation of the blur [px], of the error
NOISE_TIME = 1.0  # s
POINTS, WRONG = 200, 0.2  # of a frame, share that is wrong
SENSOR_NOISE = 0.01  # of the distance
LASER = 0.01  # rad, field of view of the range finder
MAX_DEPTH = 20.0  # m
PLANE = {'camera_height': CAMERA_HEIGHT, 'camera_pitch': PITCH}
SOURCES = {
    'none': {},
    'points, scale': {'scale_source': 'points'},
    'points, scale_shift': {'scale_source': 'points', 'scale_fit': 'scale_shift'},
    'range': {'scale_source': 'range'},
    'plane': {'scale_source': 'plane', **PLANE},
}


@dataclass(frozen=True)
class Kind:
    """How the depth of a recording is wrong: by a factor, and a shift [m]."""

    name: str
    drifts: bool  # from one end of SCALES to the other
    shift: float = 0.0


KINDS = (Kind('constant', False), Kind('drifting', True), Kind('and 0.3 m off', True, 0.3))


class Noise:
    """The smooth error of a network: factors (H, W) that change slowly."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self._rng = rng
        self._shape = height, width
        self._fields = [self._new(blur, size) for blur, size in NOISE]

    def step(self, seconds: float) -> np.ndarray:
        """Return the factors some time later."""
        kept = np.exp(-seconds / NOISE_TIME)
        for i, (blur, size) in enumerate(NOISE):
            new = self._new(blur, size)
            self._fields[i] = kept * self._fields[i] + np.sqrt(1 - kept**2) * new
        return np.exp(sum(self._fields))

    def _new(self, blur: float, size: float) -> np.ndarray:
        height, width = self._shape
        step = 8  # px: smooth enough to be made small
        coarse = self._rng.standard_normal((height // step + 8, width // step + 8))
        coarse = cv2.GaussianBlur(coarse, (0, 0), blur / step)
        coarse *= size / coarse.std()
        return cv2.resize(coarse[4:-4, 4:-4], (width, height), interpolation=cv2.INTER_CUBIC)


def network_depth(
    truth: np.ndarray, factor: float, shift: float, noise: np.ndarray | None
) -> np.ndarray:
    """Return the depth of a network that is off by a factor and a shift [m], (H, W) float32."""
    depth = blurred(truth, NETWORK_SIZE) * factor + shift
    return (depth if noise is None else depth * noise).astype(np.float32)


def sparse_points(
    rng: np.random.Generator, truth: np.ndarray, camera: Camera, count: int, wrong: float
) -> np.ndarray:
    """Sample points (count, 3) [m] at random pixels, a share of which has any depth."""
    u, v = rng.integers(camera.width, size=count), rng.integers(camera.height, size=count)
    z = truth[v, u] * (1 + SENSOR_NOISE * rng.standard_normal(count))
    bad = rng.random(count) < wrong
    z[bad] = rng.uniform(0.3, 8.0, bad.sum())
    return np.column_stack([camera.rays[v, u] * z[:, None], z])


def evidence(
    rng: np.random.Generator, source: str, truth: np.ndarray, camera: Camera, stamp_ns: int
) -> Evidence:
    """Return the reading of the sensor of a source for a frame."""
    reading: PointsReading | RangeReading | None = None
    if source == 'points':
        reading = PointsReading(stamp_ns, '', sparse_points(rng, truth, camera, POINTS, WRONG))
    elif source == 'range':
        ahead = float(truth[round(camera.cy), round(camera.cx)])
        distance = ahead * (1 + SENSOR_NOISE * rng.standard_normal())
        reading = RangeReading(stamp_ns, '', distance, 0.1, 12.0, LASER)
    return Evidence(reading)


def error(depth: np.ndarray, truth: np.ndarray) -> float:
    """Return the median of |depth / truth - 1| over every third pixel."""
    return float(np.median(np.abs(depth[::3, ::3] / truth[::3, ::3] - 1)))


def drives(count: int) -> Iterator[tuple[int, object, list[View]]]:
    """Yield seed, room and views of the first rooms that have place for a drive."""
    found = 0
    for seed in EVALUATION_SEEDS:
        room = make_room(seed)
        try:
            views = drive(room, seed, FRAMES, RATE, 640, 480)
        except ValueError:
            continue
        yield seed, room, views
        found += 1
        if found == count:
            return


def camera_of(view: View) -> Camera:
    """Return the camera model of a view."""
    return Camera(view.width, view.height, *view.intrinsics())


class Run:
    """One source on one recording."""

    def __init__(self, seed: int, name: str, depth_name: str) -> None:
        self.settings = Settings().replace(SOURCES[name])
        self._rng = np.random.default_rng([seed, 7])
        self._stage = ScaleStage()
        self._applied: list[tuple[float, float]] = []
        self.errors: list[float] = []  # of the frames after `WARM_UP`
        self.key = depth_name, name

    def frame(self, i: int, depth: np.ndarray, truth: np.ndarray, camera: Camera) -> None:
        """Correct a frame."""
        stamp_ns = round(i * 1e9 / RATE)
        depth = depth.copy()
        state = self._stage.correct(
            depth,
            camera,
            header=Header(stamp_ns),
            evidence=evidence(self._rng, self.settings.scale_source, truth, camera, stamp_ns),
            settings=self.settings,
            max_depth=MAX_DEPTH,
        )
        if i >= WARM_UP * RATE:
            self.errors.append(error(depth, truth))
        if state is not None:
            self._applied.append((state.scale, state.shift))

    @property
    def jump(self) -> float:
        """Return the largest change from frame to frame, as `scale_step` counts."""
        if not self._applied:
            return 0.0
        scale, shift = np.array(self._applied).T
        return float(max(np.abs(np.diff(scale) / scale[:-1]).max(), np.abs(np.diff(shift)).max()))


def on_drives(count: int, network: engine.Engine | None) -> list[Run]:
    """Measure every source on every kind of recording, and on the network's own depth."""
    runs: list[Run] = []
    for seed, room, views in tqdm(drives(count), total=count, desc='drives', mininterval=1):
        rng = np.random.default_rng([seed, 6])
        first, last = SCALES[:: rng.choice([1, -1])]
        constant = rng.uniform(*SCALES)
        noise = Noise(rng, 480, 640)
        names = [kind.name for kind in KINDS] + ([network.model] if network else [])
        of_drive = {(k, s): Run(seed, s, k) for k in names for s in SOURCES}
        for i, view in enumerate(views):
            camera = camera_of(view)
            factors = noise.step(1 / RATE)
            truth, depths = render_depth(room, view), {}
            if network and i % MODEL_EVERY == 0:
                depths[network.model] = network.infer(render(room, view).rgb, camera)
            for kind in KINDS:
                factor = constant
                if kind.drifts:
                    factor = first + (last - first) * i / DRIFT_FRAMES
                depths[kind.name] = network_depth(truth, factor, kind.shift, factors)
            for (name, _), run in of_drive.items():
                if name in depths:
                    run.frame(i, depths[name], truth, camera)
        runs += of_drive.values()
    return runs


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog='python -m scenes.scale', description=__doc__)
    parser.add_argument('--drives', type=int, default=20)
    parser.add_argument('--model', default='demo', help='"" for none')
    args = parser.parse_args()
    network = engine.create(EngineSettings(args.model)) if args.model else None
    runs = on_drives(args.drives, network)
    names = list(dict.fromkeys(run.key[0] for run in runs))
    print('median error [%] after 1 s: mean over drives (worst drive), largest change in a frame')
    for source in SOURCES:
        cells = []
        for name in names:
            of = [run for run in runs if run.key == (name, source)]
            means = [100 * np.mean(run.errors) for run in of]
            cells.append(f'{np.mean(means):6.2f} ({max(means):5.2f}) {max(r.jump for r in of):.3f}')
        print(f'{source:<20}' + ''.join(f'{cell:>24}' for cell in cells))
    print(' ' * 20 + ''.join(f'{name:>24}' for name in names))


if __name__ == '__main__':
    main()
