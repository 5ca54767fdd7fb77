# SPDX-License-Identifier: Apache-2.0
"""Importing OpenVINO, and saying what its errors say."""

from __future__ import annotations

import sys
from typing import Any

from depth_pcd_ros.engine.base import EngineError


def openvino() -> Any:
    """Return the module `openvino`.

    Raises:
        EngineError: it is not installed.
    """
    # Importing it reports the use of it to its maker over the internet, unless this is missing.
    # A robot shall not; OpenVINO is made to work without.
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as err:
        raise EngineError(
            f'device openvino needs the Python package openvino ({err}): pip install openvino, '
            'or use the device cpu'
        ) from err
    return openvino


def reason(err: Exception) -> str:
    """Return the sentences of an error of OpenVINO without the places in its source."""
    lines = [line.strip() for line in str(err).splitlines()]
    told = [line for line in lines if line and not line.startswith('Exception from ')]
    return ' '.join(told) or type(err).__name__
