# SPDX-License-Identifier: Apache-2.0
"""Object stores that answer on this machine, in a process of their own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from unittest import mock

S3 = 'from moto.server import main; main(["-H", "127.0.0.1", "-p", "{port}"])'
GS = (
    'from gcp_storage_emulator.server import create_server as create; '
    'create("127.0.0.1", {port}, in_memory=True, default_bucket="bucket").run()'
)


@contextlib.contextmanager
def store(kind):
    """Start one of `s3` or `gs` with an empty bucket `bucket`, found by the environment."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    address = f'http://127.0.0.1:{port}'
    words = [sys.executable, '-c', (S3 if kind == 's3' else GS).format(port=port)]
    variables = {
        's3': {
            'AWS_ENDPOINT_URL': address,
            'AWS_ACCESS_KEY_ID': 'none',
            'AWS_SECRET_ACCESS_KEY': 'none',
            'AWS_DEFAULT_REGION': 'us-east-1',
            'AWS_EC2_METADATA_DISABLED': 'true',
        },
        'gs': {'STORAGE_EMULATOR_HOST': address},
    }[kind]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with mock.patch.dict(os.environ, variables):
            _wait_for(port, server)
            yield kind
    finally:
        server.kill()
        server.wait()


def _wait_for(port, server):
    end = time.monotonic() + 60.0
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1.0):
            return
        time.sleep(0.05)
    raise TimeoutError(f'the store has not come up: {server.poll()}')
