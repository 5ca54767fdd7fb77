# SPDX-License-Identifier: Apache-2.0
"""Files of points that others read: PLY, PCD, LAS; written as a whole or not at all."""
