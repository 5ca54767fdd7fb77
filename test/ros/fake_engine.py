# SPDX-License-Identifier: Apache-2.0
"""The node with a fake in place of the network, for faults and speeds that a real one has rarely.

The parameter `model` says how the fake behaves, such as `slow:0.2`; all else is the real node.
The depth is 2 m everywhere unless it says otherwise.
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np

from depth_pcd_ros import engine
from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros import live_camera, loading, node
from test.support import fake_engine as support

MEETING = threading.Barrier(2, timeout=5.0)


class FakeEngine(support.FakeEngine):
    """An engine whose behaviour is its model's name, `WORD:NUMBER`.

    slow: a frame takes so many seconds. ramp: its depth goes from 2 m on the left to 3 m on the
    right. loading: the model takes so many seconds to load. meeting: the second frame and those
    after it leave the network only when the frame before is being finished, and the other way
    round; a frame that waits too long for that fails.
    cold: its first run fails. stays: the depth stays on a device, which stands in for a GPU; what
    comes back from there is printed. sky: it knows the sky, and sees nothing else. packed: what
    packs the points of a frame prints a line.
    raises, lost, full, dies, hangs: every frame from this one on, up to the tenth, ends in an error
    of the driver, in one that stays, without memory, with the thread, or never.
    """

    def __init__(self, model):
        sky = support.SkyFamily(Path()) if model == 'sky' else None
        super().__init__(self.see, max_depth=4.0, model=model, network=sky)
        self.word, _, number = model.partition(':')
        self.number = float(number or 0)
        self.frames = 0
        self.inside = False
        if self.word == 'loading':
            time.sleep(self.number)
        if self.word == 'stays':
            from depth_pcd_ros.engine import device_depth

            to_host = device_depth.to_host
            device_depth.to_host = lambda values: (
                print(f'{values.numel()} values come back', flush=True),
                to_host(values),
            )[1]
        if self.word == 'unloadable':
            raise OSError(28, 'No space left on device')

    def see(self, rgb):
        """Depth of 2 m, after what `model` asks for."""
        if rgb.shape[:2] == loading.WARM_UP_SHAPE[:2]:
            if self.word == 'cold':
                raise RuntimeError('CUDA error: out of memory')
            return 2.0
        self.frames += 1
        if self.word == 'slow':
            self.inside = True
            time.sleep(self.number)
            self.inside = False
        elif self.word == 'meeting':
            if self.frames > 1:
                MEETING.wait()
        elif self.word == 'sky':
            return np.nan
        elif self.word == 'ramp':
            return np.linspace(2.0, 3.0, rgb.shape[1])
        elif self.number <= self.frames < 10:
            self.fail()
        return 2.0

    def fail(self):
        """Fail as asked."""
        if self.word == 'raises':
            raise RuntimeError('CUDA error: unspecified launch failure')
        if self.word == 'lost':
            raise DeviceLostError('cuda:0: CUDA error: an illegal memory access was encountered')
        if self.word == 'full':
            raise FrameError('out_of_memory', 'cuda:0: tried to allocate 2.00 GiB')
        if self.word == 'dies':
            raise SystemExit('the thread is gone')
        if self.word == 'hangs':
            time.sleep(3600)

    def estimate(self, pictures, cameras, size=None):
        """As ever, or see `stays`."""
        if self.word != 'stays':
            return super().estimate(pictures, cameras, size)
        from test.support import on_device

        return on_device.OnDevice.estimate(self, pictures, cameras, size)

    def device_memory(self):
        """As if it were on a GPU: 3 MiB."""
        return 3 * 2**20

    def _free(self):
        """Nothing to free, or what torch says of a device that is gone."""
        print('fake engine closed' + ' under a frame' * self.inside, flush=True)
        if self.word in ('raises', 'lost'):
            raise RuntimeError('CUDA error: unspecified launch failure')


class FakePipeline(Pipeline):
    """See `meeting` and `packed` above."""

    def finish(self, *args, **kwargs):
        """Finish a frame while the next one is in the network."""
        if self.engine.word == 'meeting':
            MEETING.wait()
        return super().finish(*args, **kwargs)

    def points(self, *args, **kwargs):
        """Print a line where that is asked for."""
        if self.engine.word == 'packed':
            print('packed', flush=True)
        return super().points(*args, **kwargs)


def main():
    """Run the node with the fake."""
    node.Pipeline = FakePipeline
    engine.create = lambda settings: FakeEngine(settings.model)
    live_camera.MAX_WAITING_BYTES = 2**22
    return node.main()


if __name__ == '__main__':
    sys.exit(main())
