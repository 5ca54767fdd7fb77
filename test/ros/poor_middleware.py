# SPDX-License-Identifier: Apache-2.0
"""The node of fake_engine.py over a middleware that has no event of some kinds.

It stands for such a middleware in that rclpy is refused those events, named before the node's own
arguments: `incompatible_qos`, `message_lost`.
"""

import sys

from depth_pcd_ros.ros import qos, subscription

from . import fake_engine


def without(callbacks_class, missing):
    """A class of event callbacks that refuses some as rclpy does."""

    def make(**callbacks):
        if missing & set(callbacks):
            raise qos.UnsupportedEventTypeError('not supported')
        return callbacks_class(**callbacks, use_default_callbacks=False)

    return make


if __name__ == '__main__':
    missing = set(sys.argv.pop(1).split(','))
    qos.PublisherEventCallbacks = without(qos.PublisherEventCallbacks, missing)
    subscription.SubscriptionEventCallbacks = without(
        subscription.SubscriptionEventCallbacks, missing
    )
    sys.exit(fake_engine.main())
