# SPDX-License-Identifier: Apache-2.0
"""For people: depth in colours, previews, the viewer in a browser."""
