# SPDX-License-Identifier: Apache-2.0
"""An engine proves itself: its depth is compared with that of the network in fp32. No torch.

Reduced precision and compilers can be wrong without a word. So three pictures that come with the
package (rendered rooms, one of them without a ceiling) pass through the network in torch in fp32 on
the CPU, once, and through the engine; what that gave is kept with the converted network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import logging
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import cache
from depth_pcd_ros.engine.base import Engine, EngineError, Floats, ProofError, Size
from depth_pcd_ros.engine.export import reference_name
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.checkpoints import bundled_model
from depth_pcd_ros.networks.family import Family

HEIGHT, WIDTH = 240, 320  # [px] of the pictures
CAMERA = Camera(WIDTH, HEIGHT, 250.0, 250.0, 159.5, 119.5)

log = logging.getLogger(__name__)


class Limit(NamedTuple):
    """The most that an engine may be off fp32, as a share of the depth; `sky` of the pixels."""

    mean: float
    scale: float
    sky: float


LIMITS = {
    'fp32': Limit(0.001, 0.0005, 0.001),
    'fp16': Limit(0.005, 0.002, 0.005),
    'bf16': Limit(0.02, 0.005, 0.02),
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The difference of an engine from fp32; inf where it gave numbers that are not finite.

    Attributes:
        mean: of the absolute difference, as a share of the depth.
        scale: the most that a picture's common scale, the median of its ratios, differs from 1.
        sky: share of the pixels that are sky in one of both only.
    """

    mean: float
    scale: float
    sky: float

    def within(self, limit: Limit) -> bool:
        """Return whether none of it is more than it may be."""
        return all(
            value <= most for value, most in zip(dataclasses.astuple(self), limit, strict=True)
        )

    def __str__(self) -> str:
        sky = f', sky {self.sky:.2%} of the pixels' if self.sky else ''
        return f'mean {self.mean:.2%}, scale {self.scale:.2%}{sky}'


def prove(engine: Engine, size: Size, place: Path, runtime: str) -> Verdict | None:
    """Compare an engine with the network in fp32, unless that was done.

    Args:
        engine: the engine; its lock is held.
        size: height and width at the network [px].
        place: the folder in which the verdict is kept.
        runtime: the versions and the hardware that the engine is made of.

    Returns:
        What was found; None where there is no torch to compare with.

    Raises:
        ProofError: it is off by more than `LIMITS`.
    """
    network, device, precision = engine.network, engine.device, engine.precision
    kind = f'{precision}-fp32-attention' if engine.fp32_attention else precision
    name = f'{device}-{kind}-{size[0]}x{size[1]}-{network.input_size}'.replace(':', '-')
    kept = place / f'proof-{name}-{zlib.crc32(runtime.encode()):08x}.json'
    verdict = _read(kept)
    if verdict is None:
        log.info('comparing %s in %s with fp32, once ...', device, precision)
        expected = _reference(network, size, place)
        if expected is None:
            return None
        found = np.concatenate([engine._run([rgb], size, (HEIGHT, WIDTH)) for rgb in pictures()])
        verdict = compare(network, found, expected)
        _write(kept, json.dumps({**dataclasses.asdict(verdict), 'runtime': runtime}).encode())
    limit = LIMITS[precision]
    if not verdict.within(limit):
        attention = ' with attention in fp32' if engine.fp32_attention else ''
        raise ProofError(
            f'{device} in {precision}{attention} is not used: for pictures of '
            f'{size[1]}x{size[0]} at the network its depth is off that in fp32 by {verdict}; '
            f'expected at most {Verdict(*limit)}'
        )
    return verdict


def compare(network: Family, found: Floats, expected: Floats) -> Verdict:
    """Compare what a network gave for pictures, (N, C, H, W), with what it should have given."""
    if not np.isfinite(found).all():
        return Verdict(np.inf, np.inf, np.inf)
    depth, truth = (
        np.stack([network.metres(of_picture.copy(), CAMERA) for of_picture in maps])
        for maps in (found, expected)
    )
    both = np.isfinite(depth) & np.isfinite(truth)
    with np.errstate(divide='ignore', invalid='ignore'):
        ratios = depth / truth
    return Verdict(
        mean=float(np.abs(ratios[both] - 1).mean()) if both.any() else 0.0,
        scale=max(
            (
                abs(float(np.median(one[where])) - 1)
                for one, where in zip(ratios, both, strict=True)
                if where.any()
            ),
            default=0.0,
        ),
        sky=float((np.isfinite(depth) != np.isfinite(truth)).mean()),
    )


@functools.cache
def pictures() -> list[npt.NDArray[np.uint8]]:
    """Read the pictures, each (240, 320, 3) uint8 RGB."""
    path = bundled_model('proof.png')
    stacked = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if stacked is None or stacked.shape[1:] != (WIDTH, 3) or len(stacked) % HEIGHT:
        raise EngineError(f'{path} is damaged: install the package again')
    rgb = np.ascontiguousarray(stacked[..., ::-1], np.uint8)
    return list(rgb.reshape(-1, HEIGHT, WIDTH, 3))


def _reference(network: Family, size: tuple[int, int], place: Path) -> Floats | None:
    """Return what the network in fp32 gives for the pictures, (N, C, 240, 320)."""
    kept = place / reference_name(size, network.input_size)
    with contextlib.suppress(OSError, ValueError):
        found: Floats = np.load(kept)
        return found
    try:
        made = cache.reference(network, size)
    except cache.NoTorchError:
        log.warning('there is no torch to compare the engine with: it is used unproven')
        return None
    content = io.BytesIO()
    np.save(content, made)
    _write(kept, content.getvalue())
    return made


def _read(path: Path) -> Verdict | None:
    try:
        kept = json.loads(path.read_text())
        return Verdict(*(float(kept[field.name]) for field in dataclasses.fields(Verdict)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as err:
        log.warning(
            '%s cannot be kept (%s): each start compares the engine again', path, err.strerror
        )
