# SPDX-License-Identifier: Apache-2.0
"""The recorded outputs of the official network, and checkpoints with the weights they belong to."""

import json
import runpy
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[1] / 'data' / 'golden'
INDOOR = 'depth_anything_v2_metric_hypersim_vits.pth'
OUTDOOR = 'depth_anything_v2_metric_vkitti_vits.pth'


def official_file(folder: Path, name: str, seed: int, network: str = 'dav2_vits') -> str:
    """Write a checkpoint of the golden recipe as the official ones are written."""
    path = folder / name
    torch.save(weights(network, seed), path)
    return str(path)


def shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The official keys and shapes of a network: `dav2_vits`, `dav2_vitb`, ..."""
    keys = json.loads((FOLDER / f'{network}_keys.json').read_text())
    return {key: tuple(shape) for key, shape in keys.items()}


def weights(network: str, seed: int) -> dict[str, torch.Tensor]:
    """Weights of the recipe for a network, as tensors."""
    recipe = runpy.run_path(str(FOLDER / 'recipe.py'))['deterministic_state_dict']
    made = recipe(shapes(network), seed)
    return {key: torch.from_numpy(value) for key, value in made.items()}


def load(name: str) -> dict[str, np.ndarray]:
    """Read `vits` (of `INDOOR`, seed 0), `more`, `da3_vits` or `da3_vitl`; see README.md there."""
    family = '' if name.startswith('da3') else 'dav2_'
    return np.load(FOLDER / f'{family}{name}_golden.npz')


def case(name: str, index: int) -> dict[str, np.ndarray]:
    """What was recorded for one picture, without the number behind the names."""
    recorded = load(name)
    end = f'_{index}'
    return {key.removesuffix(end): recorded[key] for key in recorded if key.endswith(end)}


def long_side(recorded: dict[str, np.ndarray]) -> int:
    """The `input_size` of a case of Depth Anything 3: the long side after the first step."""
    sides, size = recorded['rgb'].shape[:2], int(recorded['process_res'])
    if str(recorded['method']) == 'upper_bound_resize':
        return size
    return round(size * max(sides) / min(sides))
