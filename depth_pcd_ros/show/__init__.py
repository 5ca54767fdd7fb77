# SPDX-License-Identifier: Apache-2.0
"""Visualization: depth in colours, previews, the viewer in a browser."""
