# SPDX-License-Identifier: Apache-2.0
"""Loops that are compiled, by numba: what NumPy and cv2 would need many passes over memory for.

A kernel is compiled for the types it names when its module is imported, never at the first frame,
and kept on disk: in the folder NUMBA_CACHE_DIR, in the `__pycache__` next to it, or in the user's
cache. It runs in one thread, without Python's lock.

A kernel is a plain loop over pixels that reads like the formula above it. Where it must be fast,
two habits of numba matter. An index that could be negative counts from the end, so its sign is
tested at each access: the index of a `range` that begins at 0 needs no test, nor does an unsigned
one; but int64 and uint64 together make float64, so an unsigned index takes unsigned steps. And a
pixel is a record (`COLOURS`), not a row of three: the compiler knows its size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types

Function = TypeVar('Function', bound=Callable[..., Any])

BOOL = types.boolean
DOUBLE = types.float64
FLOAT = types.float32
INT = types.int64
NONE = types.none

# Contraction fuses a product and a sum; all else would change what NaN and infinity do.
_OPTIONS: dict[str, Any] = {'nogil': True, 'fastmath': {'contract'}, 'error_model': 'numpy'}


def readonly(dtype: npt.DTypeLike, ndim: int) -> types.Array:
    """Return the type of a contiguous array that a kernel reads."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), ndim, 'C', readonly=True)


def writable(dtype: npt.DTypeLike, ndim: int) -> types.Array:
    """Return the type of a contiguous array that a kernel writes."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), ndim, 'C')


DEPTH = readonly('float32', 2)  # (H, W)
RAYS = types.Array(types.float32, 2, 'A', readonly=True)  # (H, W), one of `Camera.ray_maps`
RGB = np.dtype([('r', np.uint8), ('g', np.uint8), ('b', np.uint8)])
COLOURS = readonly(RGB, 2)  # (H, W)


def kernel(*arguments: Any, returns: Any = types.void) -> Callable[[Function], Function]:
    """Compile a function for these types of arguments, or take it from the disk.

    Where no folder can keep it, it is compiled anew at each start, and a warning says so.
    """
    signature = returns(*arguments)

    def compiled(function: Function) -> Function:
        try:
            return cast(Function, numba.njit(signature, cache=True, **_OPTIONS)(function))
        except (RuntimeError, OSError) as err:  # numba found no folder; the disk is full
            warnings.warn(
                f'no compiled loops are kept, each start takes some seconds longer: {err}',
                RuntimeWarning,
                stacklevel=2,
            )
        return cast(Function, numba.njit(signature, **_OPTIONS)(function))

    return compiled


def inner(function: Function) -> Function:
    """Let kernels of the same module call this function; it is compiled with them."""
    return cast(Function, numba.njit(**_OPTIONS)(function))
