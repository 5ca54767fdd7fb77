# SPDX-License-Identifier: Apache-2.0
"""Measure the edge filter on rooms whose surfaces are known: `python -m scenes.edges`.

The true depth is blurred as a network blurs it, down to the network's size and bilinearly back. A
point is flying if it is farther than 5 % of its depth from every true surface.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.cloud.unproject import pack_points, unproject
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.show.preview import render_cloud
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.render import distance_to_surface, render
from scenes.views import make_view

NETWORK_SIZES = (
    168,
    252,
    336,
    518,
)  # short side, px: the demo model's first, Depth Anything's last
THRESHOLDS = (80.0, 84.0, 86.0, 87.0, 88.0, 89.0)  # deg
FLYING = 0.05  # of its depth off every surface


def blurred(depth: np.ndarray, short_side: int) -> np.ndarray:
    """Blur a depth map (H, W) as a network of another size does: mixed at the edges."""
    height, width = depth.shape
    scale = short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    back = np.array([[(size[0] - 1) / (width - 1), 0, 0], [0, (size[1] - 1) / (height - 1), 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # align_corners
    return cv2.warpAffine(
        small, back, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def measure(
    count: int,
    sizes: Sequence[int] = NETWORK_SIZES,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[int, np.ndarray]:
    """Measure, by network size and threshold, the shares of flying and of other points removed."""
    removed = {size: np.zeros((len(thresholds), 2)) for size in sizes}
    total = {size: np.zeros(2) for size in sizes}
    for seed in tqdm(EVALUATION_SEEDS[:count], desc='edges', unit='room', mininterval=1):
        room = make_room(seed)
        view = make_view(room, seed)
        camera = Camera(view.width, view.height, *view.intrinsics())
        truth = render(room, view).depth
        for size in sizes:
            depth = blurred(truth, size)
            points = unproject(depth, camera.rays)
            flying = distance_to_surface(room, view, points) > FLYING * depth
            total[size] += flying.sum(), (~flying).sum()
            for i, threshold in enumerate(thresholds):
                dropped = np.zeros(depth.shape, bool)
                dropped.reshape(-1)[filters.flying(depth, camera, threshold)] = True
                removed[size][i] += (dropped & flying).sum(), (dropped & ~flying).sum()
    return {size: removed[size] / total[size] for size in sizes}


def picture(seed: int) -> np.ndarray:
    """Draw a cloud before and after the filter, side by side, (H, 2 W, 3) BGR."""
    room = make_room(seed)
    view = make_view(room, seed)
    camera = Camera(view.width, view.height, *view.intrinsics())
    shown = render(room, view)
    depth = blurred(shown.depth, 252)
    sides = []
    for drop in (False, True):
        if drop:
            filters.drop(depth, filters.flying(depth, camera, Settings().edge_filter))
        points = pack_points(depth, camera.ray_maps, shown.rgb)
        sides.append(render_cloud(points, view.width, view.height, camera.fx))
    return np.hstack(sides)


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog='python -m scenes.edges', description=__doc__)
    parser.add_argument('--rooms', type=int, default=50)
    parser.add_argument('--picture', type=Path, metavar='PNG', help='draw before and after')
    args = parser.parse_args()
    if args.picture:
        cv2.imwrite(str(args.picture), picture(EVALUATION_SEEDS[0]))
    shares = measure(args.rooms)
    print('edge_filter: share of flying points removed / of others [%], by network short side')
    print('threshold [deg]' + ''.join(f'{size:>14} px' for size in NETWORK_SIZES))
    for i, threshold in enumerate(THRESHOLDS):
        cells = (100 * shares[size][i] for size in NETWORK_SIZES)
        print(f'{threshold:>15g}' + ''.join(f'{a:>9.1f} / {b:4.2f} ' for a, b in cells))


if __name__ == '__main__':
    main()
