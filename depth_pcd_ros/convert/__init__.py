# SPDX-License-Identifier: Apache-2.0
"""depth-pcd convert: photos, videos and recordings through the node's pipeline, without ROS."""
