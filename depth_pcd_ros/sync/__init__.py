# SPDX-License-Identifier: Apache-2.0
"""Match by stamp: the CameraInfo of a picture, the sensor readings around it."""
