# SPDX-License-Identifier: Apache-2.0
"""Pictures that are files, and the cameras that took them: photos, videos, EXIF."""
