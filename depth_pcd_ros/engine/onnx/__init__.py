# SPDX-License-Identifier: Apache-2.0
"""The networks as ONNX: written for one size of picture, and run by ONNX Runtime."""
