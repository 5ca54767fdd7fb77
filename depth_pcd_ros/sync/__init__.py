# SPDX-License-Identifier: Apache-2.0
"""What belongs to a picture's stamp: its CameraInfo, the sensor readings around it."""
