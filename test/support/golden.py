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


def official_file(folder: Path, name: str, seed: int) -> str:
    """Write a ViT-S checkpoint of the golden recipe as the official ones are written."""
    path = folder / name
    torch.save(weights('dav2_vits', seed), path)
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
    """Read `vits` (of `INDOOR`, seed 0) or `more` (other networks; see README.md there)."""
    return np.load(FOLDER / f'dav2_{name}_golden.npz')
