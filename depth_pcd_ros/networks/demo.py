# SPDX-License-Identifier: Apache-2.0
"""The family of the bundled demo model, trained on the rooms of `scenes/`: its facts."""

from __future__ import annotations

from pathlib import Path

from depth_pcd_ros.networks.family import CheckpointError, Family

NETWORK = 'depth_pcd_ros demo network 1'  # in the checkpoint's metadata, under 'network'
MAX_DEPTH = 12.0  # m: the diagonal of the largest room


class Demo(Family):
    """The demo network, whose range is fixed."""

    name = 'demo'
    own_input_size = 168
    has_attention = False

    @classmethod
    def max_depth_of(cls, path: Path, max_depth: float) -> float:
        """Return its 12 m.

        Raises:
            CheckpointError: another is asked for.
        """
        if max_depth not in (0.0, MAX_DEPTH):
            raise CheckpointError(
                f'max_depth is {max_depth:g} m, expected 0: the range of {cls.name} is fixed'
            )
        return MAX_DEPTH

    @classmethod
    def recognises(cls, keys: list[str], metadata: dict[str, str]) -> bool:
        """Return whether the metadata names it."""
        return metadata.get('network') == NETWORK
