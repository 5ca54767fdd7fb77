# SPDX-License-Identifier: Apache-2.0
"""From depth to points: filters, unprojection, packing, voxels."""
