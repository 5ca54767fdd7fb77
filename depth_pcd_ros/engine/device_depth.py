# SPDX-License-Identifier: Apache-2.0
"""Depth that stays on the device of the network: filters, unprojection and packing in torch.

What they do is what the kernels in `cloud/` do, to the same bits. It is the same on every device;
on a CPU the tests compare it with them.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import re
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.camera import Camera, Mask
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.networks.family import Family

# In the words of the driver, and of libraries that get no memory from it. Of a convolution without
# memory, torch says that it is unable to find an engine (its Conv_v8.cpp).
NO_ROOM = re.compile(
    '(CUDA|HIP) error: out of memory|STATUS_([A-Z_]+_)?ALLOC(ATION)?_FAILED'
    '|BLAS_STATUS_NOT_INITIALIZED|unable to find an engine'
)
CAMERAS = 8  # whose maps are kept, 32 bytes a pixel: as many as a pipeline keeps

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


class DeviceDepth:
    """The depth of a picture as the network has given it.

    Args:
        maps: (C, H, W) float32, what it gave; overwritten. Nothing is still at work on it.
        network: makes metres of them.
        camera: of the picture, which tells how.
        lane: where the work is done.
    """

    def __init__(self, maps: Tensor, network: Family, camera: Camera, lane: Lane) -> None:
        self._maps, self._network, self._camera, self._lane = maps, network, camera, lane

    def numpy(self) -> Floats:
        """Return the depth as `Engine.infer` does. Only this or `filtered` may be called, once."""
        with self._lane.work():
            return to_host(self._metres())

    def filtered(
        self,
        camera: Camera,
        *,
        scale: float,
        edge_limit: float | None,
        stride: int,
        nearest: float,
        farthest: float,
        visible: Mask | None,
    ) -> FilteredDepth:
        """Correct the depth by a constant scale, and filter it.

        Args:
            camera: the model of its pixels.
            scale: factor on it.
            edge_limit: as `max_incidence` of `filters.flying`; None: not filtered.
            stride: as `filters.every_nth`.
            nearest: as `minimum` of `filters.drop_outside` [m].
            farthest: as `maximum` of it [m].
            visible: as for it; of the pixels that `stride` leaves.
        """
        with self._lane.work():
            depth = self._metres()
            sky = depth.isnan() if self._network.knows_sky else None
            if scale != 1.0:
                depth *= float(np.float32(scale))
            if edge_limit is not None:
                depth.masked_fill_(_flying(depth, self._lane.chords(camera, edge_limit)), math.nan)
            depth = depth[::stride, ::stride]
            # Compared in float32, as there.
            valid = depth >= float(np.float32(nearest))
            valid &= depth <= float(np.float32(farthest))
            if visible is not None:
                valid &= self._lane.upload(visible) != 0
            depth = torch.where(valid, depth, math.nan)
            seen = None if sky is None else to_host(sky[::stride, ::stride])
            return FilteredDepth(depth, int(to_host(valid.sum())), seen, self._lane)

    def _metres(self) -> Tensor:
        metres: Any = self._network.metres  # what it does to an array, a tensor does as well
        depth: Tensor = metres(self._maps, self._camera)
        return depth


class FilteredDepth:
    """The depth of a frame, which comes back only when it is asked for.

    Attributes:
        valid_count: how many pixels have one.
        sky: where the network sees sky, (H, W) bool; None where it does not know it.
    """

    def __init__(
        self, depth: Tensor, valid_count: int, sky: npt.NDArray[np.bool_] | None, lane: Lane
    ) -> None:
        self.valid_count = valid_count
        self.sky = sky
        self._depth, self._lane = depth, lane

    def numpy(self) -> Floats:
        """Return the depth, (H, W) float32 m, NaN where invalid."""
        with self._lane.work():
            return to_host(self._depth)

    def points(
        self, camera: Camera, rgb: npt.NDArray[np.uint8] | None, organized: bool, memory: Buffer
    ) -> Floats:
        """Unproject and pack, as `pack_points`; if not `organized`, the valid ones alone.

        Args:
            camera: the model of the pixels.
            rgb: colours, (H, W, 3) uint8, or None for a cloud without.
            organized: whether invalid points are there.
            memory: where the points come to; from the second time on, the device writes into it
                itself, while it has the same size.
        """
        with self._lane.work():
            z = self._depth
            fields = 3 if rgb is None else 4
            points = torch.empty((*z.shape, fields), device=z.device)  # (H, W, 3 or 4)
            for at, rays in enumerate(self._lane.rays(camera)):
                torch.mul(rays, z, out=points[..., at])
            points[..., 2] = z
            if rgb is not None:
                bytes_ = points.view(torch.uint8)  # of the colour: b g r 0
                bytes_[..., 12:15] = self._lane.upload(rgb).flip(-1)
                bytes_[..., 15] = 0
            if not organized:
                points = points[z == z]
            return self._lane.send(points, memory)


class Lane:
    """A way for depths through a device, beside that of the pictures through the network.

    On a GPU it is a stream: on the network's own, a frame would wait for the next one's network.

    Attributes:
        rays: `Camera.ray_maps` on the device.
        chords: see `_chords`.
        full: there was no room; depths had better leave the device at once.
    """

    full = False

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._stream = None
        if self.device.type == 'cuda':
            self._stream = torch.cuda.Stream(self.device, priority=-1)  # type: ignore[no-untyped-call]
        self.rays = functools.lru_cache(CAMERAS)(functools.partial(_rays, self.device))
        self.chords = functools.lru_cache(CAMERAS)(functools.partial(_chords, self.device))
        self._places: weakref.WeakKeyDictionary[Buffer, _Place] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Launch what follows here; it must end with `to_host` or `send`, which wait for it.

        Raises:
            FrameError: `out_of_memory`; what is kept is given back, and the lane is `full`.
        """
        with torch.inference_mode(), torch.cuda.stream(self._stream):  # type: ignore[no-untyped-call]
            try:
                yield
            except RuntimeError as err:
                if not is_no_room(err):
                    raise
                wait(self.device)  # for what is at work on memory that goes with this frame
                self.full = True
                self.clear()
                log.warning('%s has no room to make clouds, the CPU makes them', self.device)
                raise FrameError('out_of_memory', f'{self.device}: {err}') from err

    def clear(self) -> None:
        """Let go of what is kept of cameras."""
        self.rays.cache_clear()
        self.chords.cache_clear()

    def upload(self, values: npt.NDArray[np.uint8]) -> Tensor:
        """Copy an array to the device."""
        host = torch.empty(values.shape, dtype=torch.uint8, pin_memory=self.device.type == 'cuda')
        np.copyto(host.numpy(), values)
        return host.to(self.device, non_blocking=True)

    def send(self, values: Tensor, memory: Buffer) -> Floats:
        """Copy float32 values into the memory of a message, and wait until they are there."""
        out: Floats = memory.array(tuple(values.shape), np.float32)
        if not out.size:
            return out
        if self._stream is not None:
            place = self._places.get(memory)
            if place is None or not place.is_of(out):
                self._places[memory] = _Place(out)
            else:
                place.pin(out)
        torch.from_numpy(out).copy_(values, non_blocking=True)
        wait(self.device)
        return out


class _Place:
    """Memory of messages. Pinned, it is known to the driver, and a GPU writes into it by itself.

    Else the driver copies through memory of its own. Pinning takes longer than a copy, so it is for
    what is used again.
    """

    def __init__(self, out: Floats) -> None:
        self._at = out.ctypes.data, out.nbytes
        # An array.array that is held is neither resized nor freed, which pinned memory must not be.
        self._held: Floats | None = None

    def is_of(self, out: Floats) -> bool:
        """Return whether an array lies here, and fills it."""
        return self._at == (out.ctypes.data, out.nbytes)

    def pin(self, out: Floats) -> None:
        """Pin it, unless that was done before, until this object goes."""
        if self._held is not None:
            return
        self._held = out
        cudart: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
        error = int(cudart.cudaHostRegister(*self._at, 0))
        if error:
            log.warning('clouds are copied once more, for their memory is not pinned: %d', error)
            with contextlib.suppress(RuntimeError):  # else the next launch would have this error
                torch.zeros(1, device='cuda')
            return
        weakref.finalize(self, cudart.cudaHostUnregister, self._at[0]).atexit = False


def to_host(values: Tensor) -> npt.NDArray[Any]:
    """Copy a tensor to the host, in pinned memory that torch uses again, and wait for it."""
    if values.device.type == 'cpu':
        return values.numpy().copy()
    result = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    result.copy_(values, non_blocking=True)
    wait(values.device)
    return result.numpy()


def wait(device: torch.device) -> None:
    """Wait for the current stream of a device, asleep: its own way would keep a core busy."""
    if device.type == 'cuda':
        with torch.cuda.device(device):
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            done.record()
            done.synchronize()


def is_no_room(err: BaseException) -> bool:
    """Return whether an error says that the device is full, in whosever words."""
    said = isinstance(err, RuntimeError) and NO_ROOM.search(str(err)) is not None
    return said or isinstance(err, torch.OutOfMemoryError)


def _rays(device: torch.device, camera: Camera) -> list[Tensor]:
    return [torch.tensor(ray_map, device=device) for ray_map in camera.ray_maps]


def _chords(device: torch.device, camera: Camera, max_incidence: float) -> list[Tensor]:
    """Return what `filters.flying` compares depths by, in its notation and precision.

    Returns:
        |b|^2 of each ray, (H, W), and a . b + tan t |a x b| of each with the next one in its row,
        (H, W - 1), and in its column, (H - 1, W), float64.
    """
    tan = math.tan(math.radians(max_incidence))
    x, y = _rays(device, camera)

    def growth(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> Tensor:
        i, j, k = ay - by, bx - ax, ax * by - ay * bx
        cross = (i * i + j * j + k * k).sqrt().double()
        return 1.0 + (ax * bx).double() + (ay * by).double() + tan * cross

    return [
        1.0 + (x * x).double() + (y * y).double(),
        growth(x[:, :-1], y[:, :-1], x[:, 1:], y[:, 1:]),
        growth(x[:-1], y[:-1], x[1:], y[1:]),
    ]


def _flying(depth: Tensor, chords: list[Tensor]) -> Tensor:
    """Find what `filters.flying` finds, as a mask (H, W)."""
    square, across, down = chords
    squared = depth * square
    flies = torch.zeros_like(depth, dtype=torch.bool)
    for z, far, growth, out in (
        (depth, squared, across, flies),
        (depth.T, squared.T, down.T, flies.T),
    ):
        away = far[:, 1:] > z[:, :-1] * growth  # of each chord: steep, and its end is farther
        back = far[:, :-1] > z[:, 1:] * growth  # or its beginning
        out[:, 1:-1] |= (away[:, :-1] & away[:, 1:]) | (back[:, :-1] & back[:, 1:])
    return flies
