# SPDX-License-Identifier: Apache-2.0
"""Make rays of a CameraInfo's numbers: calibrations, lenses, rectification, transforms."""
