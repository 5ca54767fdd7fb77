# SPDX-License-Identifier: Apache-2.0
"""Named tensors from a file, without running any code that may be in it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from depth_pcd_ros.networks.family import CheckpointError


def read(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors` or, whatever else its name, from a file of torch.

    What is of a file of torch is still in that file: see `fill`.

    Raises:
        CheckpointError: no such file, or not a dict of nothing but tensors.
    """
    if not path.is_file():
        found = 'is a directory' if path.is_dir() else 'does not exist'
        raise CheckpointError(f'{path} {found}, expected a .pth or .safetensors file')
    # Older ones run code from a file in spite of weights_only (CVE-2025-32434).
    torch_version = tuple(int(number) for number in re.findall(r'\d+', torch.__version__)[:2])
    if path.suffix != '.safetensors' and torch_version < (2, 6):
        raise CheckpointError(
            f'torch {torch.__version__} cannot read {path.name} safely, expected 2.6 or newer; '
            'update torch, or use a .safetensors file'
        )
    try:
        if path.suffix == '.safetensors':
            with safe_open(path, 'pt') as file:
                keys = list(file.keys())
            return {key: _tensor(path, key) for key in keys}
        # Files of torch before 1.6 are not zip archives and cannot be mapped into memory.
        mmap = zipfile.is_zipfile(path)
        state = torch.load(path, map_location='cpu', weights_only=True, mmap=mmap)
    except Exception as err:  # a damaged file makes torch's reader raise errors of any class
        # Not torch's own message: it suggests weights_only=False, which nobody should follow.
        if code := re.search(r'GLOBAL (\S+)', str(err)):
            raise CheckpointError(
                f'{path} is refused: it asks for {code[1]}, which is code; expected only tensors'
            ) from err
        raise CheckpointError(
            f'{path} cannot be read as a checkpoint; it is damaged, cut short or something else '
            f'({path.stat().st_size} bytes, {type(err).__name__})'
        ) from err
    return _weights(state, path)


def _tensor(path: Path, key: str) -> Tensor:
    # Opened for each: what was mapped of the file counts as memory until it is closed.
    with safe_open(path, 'pt') as file:
        tensor: Tensor = file.get_tensor(key).clone()
    return tensor


def fill(network: nn.Module, found: dict[str, Tensor], path: Path) -> None:
    """Give a network without memory what was read from a file, and make it ready for inference.

    Its memory is its own, so that the file may change afterwards.

    Raises:
        CheckpointError: see `check_fit`.
    """
    expected = network.state_dict()
    check_fit(found, expected, path)
    for key, value in expected.items():
        # Copied only now: a forged one may have claimed any size. Those of safetensors are copies.
        copy, form = path.suffix != '.safetensors', torch.contiguous_format
        found[key] = found[key].to(value.dtype, copy=copy, memory_format=form)
    network.load_state_dict(found, assign=True)
    network.eval().requires_grad_(False)


def _weights(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file: what it holds or, of a training checkpoint, the part."""
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds a {type(content).__name__}, expected a dict of tensors'
        )
    if not _is_state_dict(content):
        parts = [key for key, value in content.items() if _is_state_dict(value)]
        if len(parts) != 1:
            others = [key for key, value in content.items() if not isinstance(value, Tensor)]
            choice = f'{len(parts)} parts ({", ".join(map(str, parts))})' if parts else 'no part'
            raise CheckpointError(
                f'{path} holds {some(others)} that are not tensors, and {choice} with only '
                'tensors; save the state dict of the model alone'
            )
        content = content[parts[0]]
    # DistributedDataParallel and torch.compile, with which models are trained, put these before
    # each key, in whatever order.
    for prefix in ('module.', '_orig_mod.', 'module.'):
        if all(key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content


def _is_state_dict(content: object) -> bool:
    """Return whether it has named tensors only; the figures of a training are scalars."""
    return (
        isinstance(content, dict)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
        and any(value.ndim for value in content.values())
    )


def check_fit(found: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> None:
    """Check that what was read from a file are the weights that a network expects.

    Raises:
        CheckpointError: missing or extra keys, other shapes, or not floating-point numbers; the
            first few are named.
    """
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append(f'lacks {some(missing)}')
    if extra := [key for key in found if key not in expected]:
        problems.append(f'has {some(extra)} too many')
    shapes = [
        f'{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}'
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if shapes:
        problems.append(f'has other shapes in {some(shapes)}')
    if types := [
        f'{key} {found[key].dtype}'
        for key in sorted(expected.keys() & found)
        if expected[key].is_floating_point() and not found[key].is_floating_point()
    ]:
        problems.append(f'has other than floating-point numbers in {some(types)}')
    if problems:
        raise CheckpointError(f'{path} does not fit: it {"; it ".join(problems)}')


def some(keys: list[str]) -> str:
    """Count keys and name the first few."""
    dots = ', ...' if len(keys) > 3 else ''
    noun = 'key' if len(keys) == 1 else 'keys'
    return f'{len(keys)} {noun} ({", ".join(map(str, keys[:3]))}{dots})'
