# SPDX-License-Identifier: Apache-2.0
"""The use of the camera's motion: steady depth, and points that tell its true scale.

`tracks` follows corners, `camera_motion` tells the motion from them, `stabilize` mixes the depth
with what was seen before, `triangulate` measures corners by the motion of the odometry, and `stage`
puts them in the pipeline's line. No ROS, no torch.
"""
