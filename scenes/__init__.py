# SPDX-License-Identifier: Apache-2.0
"""Furnished rooms with exact depth: the demo recording and the demo network are made from them.

A seed gives a room (`furniture.make_room`) and a camera in it (`views.make_view`); `render.render`
gives the photo and the depth along z, and `render.distance_to_surface` judges any 3-D point. On top
of these, `recording` writes the demo recording, `train` the demo network, and `evaluate` measures
it. Needs no ROS.

The seeds of the four uses are disjoint, and are given here only.
"""

TRAIN_SEEDS = range(0, 1_000_000)
VALIDATION_SEEDS = range(1_000_000, 1_100_000)
EVALUATION_SEEDS = range(2_000_000, 2_000_200)
DEMO_SEED = 3_000_009
