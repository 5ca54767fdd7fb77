# SPDX-License-Identifier: Apache-2.0
"""The default edge filter on rendered rooms, whose true surfaces are known."""

from depth_pcd_ros.settings import Settings
from scenes.edges import measure


def test_flying_points_go_and_the_others_stay():
    """At least 90 % of the points off every surface are removed, at most 3 % of the others."""
    shares = measure(3, sizes=(252, 518), thresholds=(Settings().edge_filter,))
    for size, ((flying, others),) in shares.items():
        assert flying >= 0.90, size
        assert others <= 0.03, size
