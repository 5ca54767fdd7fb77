# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to the network in torch that its weights belong to."""

from __future__ import annotations

from depth_pcd_ros.networks import demo, depth_anything_v2
from depth_pcd_ros.networks.checkpoints import DEMO, Checkpoint


def load(checkpoint: Checkpoint) -> depth_anything_v2.DepthAnythingV2 | demo.DemoNetwork:
    """Load a network: (N, 3, h, w) normalised RGB to (N, h, w) m; `max_depth`, `input_size`.

    Raises:
        CheckpointError: see `depth_anything_v2.load` and `demo.load`.
    """
    if checkpoint.kind == DEMO:
        return demo.load(checkpoint.path)
    return depth_anything_v2.load(checkpoint.path, checkpoint.max_depth)
