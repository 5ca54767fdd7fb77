# SPDX-License-Identifier: Apache-2.0
"""What the camera's motion is good for: depth that is steady, and points that tell its true scale.

`tracks` follows corners, `camera_motion` tells the motion from them, `stabilize` mixes the depth
with what was seen before, `triangulate` measures corners by the motion of the odometry, and `stage`
puts them in the pipeline's line. No ROS, no torch.
"""
