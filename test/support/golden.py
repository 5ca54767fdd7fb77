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
    recipe = runpy.run_path(str(FOLDER / 'recipe.py'))['deterministic_state_dict']
    weights = recipe(json.loads((FOLDER / 'dav2_vits_keys.json').read_text()), seed)
    path = folder / name
    torch.save({key: torch.from_numpy(value) for key, value in weights.items()}, path)
    return str(path)


def load(name: str) -> dict[str, np.ndarray]:
    """Read `vits` (of `INDOOR`, seed 0) or `more` (other networks; see README.md there)."""
    return np.load(FOLDER / f'dav2_{name}_golden.npz')
