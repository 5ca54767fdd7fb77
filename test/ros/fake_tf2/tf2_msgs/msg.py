# SPDX-License-Identifier: Apache-2.0
"""A type that can be subscribed to; nobody publishes it."""

from geometry_msgs.msg import TransformStamped as TFMessage

__all__ = ['TFMessage']
