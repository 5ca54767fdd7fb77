# SPDX-License-Identifier: Apache-2.0
"""From a CameraInfo's numbers to rays: calibrations, lenses, rectification, transforms."""
