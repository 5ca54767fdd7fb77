# SPDX-License-Identifier: Apache-2.0
"""The interface of engines: a network on a device, from pictures and cameras to metres."""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError, FrameError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.family import Family

if TYPE_CHECKING:
    from depth_pcd_ros.engine.device_depth import DeviceDepth

Maps = TypeVar('Maps')  # (C, H, W), what the network gives for a picture
Pictures = Sequence[npt.NDArray[np.uint8]]
Floats = npt.NDArray[np.float32]
Size = tuple[int, int]  # height, width [px]

PROOF_SHAPE = (480, 640)  # of the pictures, before the camera is known
# The cost of attention grows with the square of the long side. No camera is wider than this, and
# a broken picture of, say, 2 x 4000 pixels would stall the node for hours.
MAX_ASPECT = 20
ON_THE_CPU = ('cpu', 'openvino:CPU', 'onnx:cpu')  # held to recorded outputs by the tests, in fp32

log = logging.getLogger(__name__)


class EngineError(DepthPcdError):
    """An engine cannot be made as asked; the message says what is possible."""


class ProofError(EngineError):
    """An engine gives another depth than the network in fp32; the message has the figures."""


class UnusableDeviceError(EngineError):
    """A device is there, but cannot run the network: it is full, or there are no kernels for it."""


class Engine(abc.ABC):
    """A network on a device. Any thread may call it; pictures enter the network one after another.

    Attributes:
        model: name or path of the model, as asked for.
        network: what is known of it.
        device: where it runs: `cpu`, `cuda:0`, `openvino:CPU`, ...
        precision: `fp32`, `fp16` or `bf16`.
        fp32_attention: attention, and the normalisation before it, is in fp32 all the same.
        keeps_attention: it can have attention alone in fp32.
        batch: how many pictures at once the device gains from.
        sizes: for how many sizes of pictures, and numbers of them at once, the network is kept
            ready; each takes memory, and one that is not ready takes seconds.
        proof: how far its depth is off that in fp32, in words; '' where that is not compared.
    """

    keeps_attention: ClassVar[bool] = True
    batch: ClassVar[int] = 1
    sizes = 3  # a camera has one size, or a few
    proof = ''

    def __init__(
        self,
        model: str,
        network: Family,
        device: str,
        precision: str,
        fp32_attention: bool = False,
    ) -> None:
        self.model = model
        self.network = network
        self.device = device
        self.precision = precision
        self.fp32_attention = fp32_attention
        self._proven: set[tuple[int, int]] = set()  # sizes at the network
        self._most = 2**31  # pictures at once that the device has room for, as far as is known
        self._lock = threading.Lock()  # held while the network runs and while it is freed
        self._closed = False

    def infer(self, rgb: npt.NDArray[np.uint8], camera: Camera, size: Size | None = None) -> Floats:
        """Estimate the depth of a picture.

        Args:
            rgb: (H, W, 3) uint8, RGB, any strides.
            camera: of exactly this picture.
            size: height and width of the result, whose corner pixels are those of the picture, as
                `Camera.resized` has it; None: the picture's.

        Returns:
            (*size) float32, contiguous, depth along z [m], NaN where the network knows that there
            is none (sky); the caller's own. At `network.network_size` it is what the network gives,
            without resizing.

        Raises:
            ValueError: `rgb` has another shape or type.
            CameraError: the camera has another size.
            FrameError: `aspect_ratio` for a picture more than 20 times as long as wide,
                `network_not_finite` where the network gives NaN, `out_of_memory` where the device
                has no room; what is held in reserve is given back then.
            RuntimeError: the engine is closed.
        """
        return self.infer_batch([rgb], [camera], size)[0]

    def infer_batch(
        self, pictures: Pictures, cameras: Sequence[Camera], size: Size | None = None
    ) -> list[Floats]:
        """Estimate the depth of pictures of one size at once; otherwise as `infer`.

        Args:
            pictures: each (H, W, 3) uint8, RGB, any strides.
            cameras: of each.
            size: as `infer`, of each result.

        Returns:
            For each picture what `infer` gives, to 1e-4 of the depth in fp32.

        Raises:
            ValueError: as `infer`, or the sizes differ.
            FrameError: as `infer`, for one of them; one by one, the others may succeed.
        """
        maps = self._maps_of(self._run, pictures, cameras, size)
        for of_picture in maps:
            check_finite(of_picture, self.precision)
        return [
            self.network.metres(of_picture, camera)
            for of_picture, camera in zip(maps, cameras, strict=True)
        ]

    def estimate(
        self, pictures: Pictures, cameras: Sequence[Camera], size: Size | None = None
    ) -> Sequence[Floats | DeviceDepth]:
        """Estimate as `infer_batch`, but leave the depth on a device that can make points of it."""
        return self.infer_batch(pictures, cameras, size)

    def prove(self, size: Size | None = None) -> None:
        """Compare the depth with that of the network in fp32; once, the verdict is kept.

        Only what runs in fp32 on the CPU itself is not compared.

        Args:
            size: height and width at the network [px]; None: as of VGA.

        Raises:
            ProofError: it is off by more than may be.
            FrameError, RuntimeError: as `infer`.
        """
        with self._lock:
            self._prove(size or self.network.network_size(*PROOF_SHAPE))
            self._discard()

    def farthest(self, camera: Camera) -> float:
        """Return the depth at which the output ends for pictures of this camera [m], or inf."""
        return self.network.farthest(camera)

    def device_memory(self) -> int | None:
        """Return what this process holds of the device's own memory [bytes]; None on a CPU."""
        return None

    def close(self) -> None:
        """Free the memory once no picture is in the network. May be called again.

        The engine cannot be used any more.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._free()

    def _prove(self, size: tuple[int, int]) -> None:
        """Do what `prove` does, for pictures of `size` at the network."""
        if size in self._proven or (self.precision == 'fp32' and self.device in ON_THE_CPU):
            return
        from depth_pcd_ros.engine import proof

        self._proven.add(size)
        try:
            verdict = proof.prove(self, size, *self._origin(size))
        except BaseException:
            self._proven.discard(size)
            raise
        self.proof = 'not compared: there is no torch' if verdict is None else str(verdict)
        if self.fp32_attention:
            self.proof += ', attention in fp32'

    def _maps_of(
        self,
        run: Callable[[Pictures, Size, Size], Iterable[Maps]],
        pictures: Pictures,
        cameras: Sequence[Camera],
        size: Size | None,
    ) -> list[Maps]:
        """Check the arguments of `infer_batch`, and return what `run` gives for each picture."""
        if not pictures:
            return []
        height, width = _size_of(pictures)
        for camera in cameras:
            camera.check_image_size(width, height)
        entering = self.network.network_size(height, width)
        with self._lock:
            if self._closed:
                raise RuntimeError('the engine is closed')
            return self._run_in_parts(run, pictures, entering, size or (height, width))

    def _run_in_parts(
        self,
        run: Callable[[Pictures, Size, Size], Iterable[Maps]],
        pictures: Pictures,
        size: Size,
        result: Size,
    ) -> list[Maps]:
        """Run on all at once, or, where the device has no room for so many, on halves of them."""
        if len(pictures) <= self._most:
            try:
                return list(run(pictures, size, result))
            except FrameError as err:
                if err.cause != 'out_of_memory' or len(pictures) == 1:
                    raise
                self._most = len(pictures) // 2
                log.warning('%s; from now on at most %d at once', err, self._most)
        half = self._most
        parts = [pictures[at : at + half] for at in range(0, len(pictures), half)]
        return [one for part in parts for one in self._run_in_parts(run, part, size, result)]

    def _discard(self) -> None:  # noqa: B027, most engines have nothing
        """Let go of what was made for a size of picture, since others may come."""

    def _origin(self, size: tuple[int, int]) -> tuple[Path, str]:
        """Return where what is known of the network is kept, and what hardware and versions run it.

        Both for `proof.prove`, of an engine that is compared.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        """Run the network on pictures of one size, (H, W, 3) each, that enter it at `size`.

        Returns:
            (N, C, *result) float32: what it gives, resized where `result` is not `size`, in memory
            of its own.
        """

    @abc.abstractmethod
    def _free(self) -> None:
        """Let go of the network; called once."""


def _size_of(pictures: Pictures) -> Size:
    """Return the height and width [px] that all pictures have.

    Raises:
        ValueError: one is not (H, W, 3) uint8, or their sizes differ.
        FrameError: `aspect_ratio` for pictures more than 20 times as long as wide.
    """
    for rgb in pictures:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ValueError(f'rgb is {rgb.shape} {rgb.dtype}, expected (H, W, 3) uint8')
    shapes = sorted({rgb.shape for rgb in pictures})
    if len(shapes) != 1:
        raise ValueError(f'the pictures are {shapes}, expected at least one, and one size')
    height, width = shapes[0][:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise FrameError(
            'aspect_ratio',
            f'the image is {width}x{height} px, expected sides of at most {MAX_ASPECT}:1',
        )
    return height, width


def check_finite(depth: Floats, precision: str) -> None:
    """Raise FrameError `network_not_finite` where a depth is not finite."""
    if not np.isfinite(depth).all():
        raise FrameError(
            'network_not_finite',
            f'the network gives NaN at {precision}; fp32 may help, or the weights are bad',
        )
