# SPDX-License-Identifier: Apache-2.0
"""The networks in OpenVINO, on CPUs, Intel GPUs and NPUs."""
