# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to the network in torch that its weights belong to."""

from __future__ import annotations

from depth_pcd_ros import demo_network, depth_anything
from depth_pcd_ros.checkpoints import DEMO, Checkpoint


def load(checkpoint: Checkpoint) -> depth_anything.DepthAnythingV2 | demo_network.DemoNetwork:
    """Load a network: (N, 3, h, w) normalised RGB to (N, h, w) m; `max_depth`, `input_size`.

    Raises:
        CheckpointError: see `depth_anything.load` and `demo_network.load`.
    """
    if checkpoint.kind == DEMO:
        return demo_network.load(checkpoint.path)
    return depth_anything.load(checkpoint.path, checkpoint.max_depth)
