# SPDX-License-Identifier: Apache-2.0
"""Load a model in a thread, so that the node can be asked to end meanwhile."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import numpy as np

from depth_pcd_ros import engine
from depth_pcd_ros.engine import Engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.live.worker import NetworkThread
from depth_pcd_ros.settings import Settings

WARM_UP_SHAPE = (480, 640, 3)
WARM_UP_CAMERA = Camera(640, 480, 500.0, 500.0, 319.5, 239.5)
PERIOD = 0.1  # [s]


def load_engine(settings: Settings, meanwhile: Callable[[], None]) -> Engine:
    """Load the model that the settings ask for and run it once: else the first frame would wait.

    Args:
        settings: model, device and so on.
        meanwhile: called every 0.1 s; what it raises ends the waiting, not the loading.

    Raises:
        Exception: whatever `engine.create` raises.
    """
    loaded: concurrent.futures.Future[Engine] = concurrent.futures.Future()

    def load() -> None:
        try:
            result = engine.create(settings.engine)
            try:
                result.infer(np.zeros(WARM_UP_SHAPE, np.uint8), WARM_UP_CAMERA)
            except BaseException:
                result.close()  # its memory is wanted for the next try
                raise
        except BaseException as err:  # for the caller, in the other thread
            loaded.set_exception(err)
        else:
            loaded.set_result(result)

    NetworkThread(load, 'load').start()
    while not concurrent.futures.wait([loaded], PERIOD).done:
        meanwhile()
    return loaded.result()
