# SPDX-License-Identifier: Apache-2.0
"""Corners followed from picture to picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Mask

Pixels = npt.NDArray[np.float64]

CAPACITY = 200  # corners at most
REFILL = 0.85  # of them, below which new ones are looked for
SHORT_SIDE = 240  # of the picture in which they are followed [px]: as exact, at a third of the time
WINDOW = (11, 11)  # px, around a corner
LEVELS = 3  # of the pyramid, above the picture: for motions of up to some 40 px in it
STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
MIN_DISTANCE = 8  # between corners [px]
QUALITY = 0.01  # of the best corner's eigenvalue
MIN_EIGENVALUE = 1e-4  # of what is still a corner, below which a corner is lost
MAX_RETURN = 0.3  # px by which a corner may miss itself when it is followed back


@dataclass(frozen=True, eq=False)
class Tracked:
    """The corners that two pictures share."""

    # (N,) int64, the same in every picture that has a corner; never used again
    ids: npt.NDArray[np.int64]
    before: Pixels  # where they are in the picture before and in this one, (N, 2) px
    now: Pixels
    # those that were found in this picture first, (M,) and (M, 2) px
    fresh_ids: npt.NDArray[np.int64]
    fresh: Pixels
    pixel: float  # size of a pixel of the picture in which they are followed [px]


class Tracks:
    """Follows corners: Lucas-Kanade, forwards and back, in a picture of `SHORT_SIDE`.

    J.-Y. Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker", 2000; forwards
    and back: Kalal, Mikolajczyk and Matas, ICPR 2010.
    """

    def __init__(self) -> None:
        self._before: npt.NDArray[np.uint8] | None = None
        self._corners = np.empty((0, 2), np.float32)  # in the small picture
        self._ids: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._next_id = 0

    def update(self, rgb: npt.NDArray[np.uint8], visible: Mask | None = None) -> Tracked:
        """Follow the corners into the next picture.

        Args:
            rgb: (H, W, 3), all of one size; the first has no corners that were followed.
            visible: mask of what the lens shows, of any size; None: everything. What is beside it
                would be a border that stays where it is.
        """
        grey, scale = _small(rgb)
        inner = None if visible is None else _inner(visible, grey.shape)
        if self._before is not None and self._before.shape != grey.shape:
            self.__init__()  # type: ignore[misc]
        before, kept = self._follow(grey, inner)
        self._before = grey
        fresh_ids: npt.NDArray[np.int64] = np.arange(0)
        if len(kept) < REFILL * CAPACITY:
            fresh_ids = self._refill(grey, inner)
        count = len(self._ids) - len(fresh_ids)

        def full(corners: npt.NDArray[Any]) -> Pixels:
            return (corners.astype(np.float64) + 0.5) * scale - 0.5

        return Tracked(
            self._ids[:count],
            full(before),
            full(self._corners[:count]),
            fresh_ids,
            full(self._corners[count:]),
            float(scale.mean()),
        )

    def _follow(
        self, grey: npt.NDArray[np.uint8], inner: Mask | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Move the corners on; return where those that are left were, and their ids."""
        before = self._corners
        if self._before is None or not len(before):
            return before, self._ids
        lk: Any = {
            'winSize': WINDOW,
            'maxLevel': LEVELS,
            'criteria': STEPS,
            'minEigThreshold': MIN_EIGENVALUE,
        }
        now, found, _ = cv2.calcOpticalFlowPyrLK(self._before, grey, before, None, **lk)
        # The search begins where they are now, to test whether it leads back.
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(grey, self._before, now, None, **lk)
        height, width = grey.shape
        inside = ((now >= 0) & (now <= (width - 1, height - 1))).all(axis=1)
        good = (found.ravel() > 0) & (found_back.ravel() > 0) & inside
        good &= np.linalg.norm(back - before, axis=1) < MAX_RETURN
        if inner is not None:
            u, v = np.rint(now[good]).astype(int).T
            good[good] = inner[v, u] > 0
        self._corners, self._ids = now[good], self._ids[good]
        return before[good], self._ids

    def _refill(self, grey: npt.NDArray[np.uint8], inner: Mask | None) -> npt.NDArray[np.int64]:
        """Look for corners away from those that are known; return the ids of the new ones."""
        free = np.full(grey.shape, 255, np.uint8) if inner is None else inner.copy()
        for u, v in np.rint(self._corners).astype(int).tolist():
            cv2.circle(free, (u, v), MIN_DISTANCE, 0, -1)
        wanted = CAPACITY - len(self._corners)
        found = cv2.goodFeaturesToTrack(grey, wanted, QUALITY, MIN_DISTANCE, mask=free)
        if found is None:
            return np.arange(0)
        ids = np.arange(self._next_id, self._next_id + len(found))
        self._next_id += len(found)
        self._corners = np.concatenate([self._corners, found.reshape(-1, 2)])
        self._ids = np.concatenate([self._ids, ids])
        return ids


def _inner(visible: Mask, shape: tuple[int, ...]) -> Mask:
    """Mask of the corners, (h, w), whose windows have nothing but what is visible."""
    small = cv2.resize(visible, shape[::-1], interpolation=cv2.INTER_NEAREST)
    kernel = np.ones((WINDOW[1] + 2, WINDOW[0] + 2), np.uint8)
    return np.asarray(cv2.erode(small, kernel), np.uint8)


def _small(rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Return the picture in grey, reduced by a whole number, and the size of its pixels [px]."""
    height, width = rgb.shape[:2]
    n = max(1, round(min(height, width) / SHORT_SIDE))
    size = max(1, width // n), max(1, height // n)
    small = rgb if n == 1 else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    scale = np.array([width / size[0], height / size[1]])
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), scale
