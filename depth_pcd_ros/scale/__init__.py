# SPDX-License-Identifier: Apache-2.0
"""True scale: correcting the network's depth by what the robot knows. No ROS, no torch.

A source (`points.py`, `beam.py`, `plane.py`) measures on one frame by which scale and shift its
depth comes true; `tracker.py` smooths and bounds what is measured; `stage.py` applies it.
"""
