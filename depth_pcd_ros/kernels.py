# SPDX-License-Identifier: Apache-2.0
"""Loops that are compiled, by numba: what NumPy and cv2 would need many passes over memory for.

A kernel is compiled for the types it names when its module is imported, never at the first frame,
and kept on disk: in the folder NUMBA_CACHE_DIR, in the `__pycache__` next to it, or in the user's
cache. It runs in one thread, without Python's lock.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import types

__all__ = ['BOOL', 'DOUBLE', 'FLOAT', 'INT', 'PAIR', 'inner', 'kernel', 'readonly', 'writable']

Function = TypeVar('Function', bound=Callable[..., Any])

BOOL = types.boolean
DOUBLE = types.float64
FLOAT = types.float32
INT = types.int64
PAIR = types.UniTuple(types.float64, 2)  # type: ignore[no-untyped-call]

# Contraction fuses a product and a sum; all else would change what NaN and infinity do.
_OPTIONS: dict[str, Any] = {'nogil': True, 'fastmath': {'contract'}, 'error_model': 'numpy'}


def readonly(dtype: str, ndim: int) -> types.Array:
    """The type of a contiguous array that a kernel reads."""
    return types.Array(getattr(types, dtype), ndim, 'C', readonly=True)


def writable(dtype: str, ndim: int) -> types.Array:
    """The type of a contiguous array that a kernel writes."""
    return types.Array(getattr(types, dtype), ndim, 'C')


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
