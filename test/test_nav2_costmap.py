# SPDX-License-Identifier: Apache-2.0
"""config/nav2_costmap.yaml marks what stands there and clears what has gone, by Nav2's own rules.

Nav2 is not at hand, so `Costmap` says again what its observation_buffer.cpp, voxel_layer.cpp and
voxel_grid.hpp do with a cloud, the same from Humble to main.
"""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.settings import Settings
from test.support.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'navigation.md').read_text()
COSTMAP = yaml.safe_load((ROOT / 'config' / 'nav2_costmap.yaml').read_text())
WIDTH, HEIGHT, FOCAL = 640, 480, 554.0
CALIBRATION = Calibration(WIDTH, HEIGHT, (FOCAL, 0, 319.5, 0, FOCAL, 239.5, 0, 0, 1))
BOX = np.array([[2.02, -0.3, 0.0], [2.3, 0.3, 0.5]])  # two corners in odom [m]
WALL = 6.0  # x in odom [m]: out of the costmap, and of every range that Nav2 is given


class Costmap:
    """A window of Nav2's local costmap around the origin of odom, seen by one VoxelLayer."""

    def __init__(self, parameters):
        self.layer = parameters['depth_layer']
        self.sources = [self.layer[name] for name in self.layer['observation_sources'].split()]
        resolution = parameters['resolution']
        self.cell = np.array([resolution, resolution, self.layer['z_resolution']])
        size = np.array([parameters['width'], parameters['height']])
        self.corner = np.array([*(-size / 2), self.layer['origin_z']])
        self.marked = np.zeros([*(size / resolution).astype(int), self.layer['z_voxels']], bool)

    def update(self, points, camera):
        """Take a cloud, (N, 3) in odom, of a camera there: first all clearing, then all marking."""
        for source in self.sources:
            if source['clearing']:
                self._clear(_within_heights(points, source), camera, source)
        for source in self.sources:
            if source['marking']:
                self._mark(_within_heights(points, source), camera, source)

    def lethal(self):
        """Return how many cells of the costmap are obstacles."""
        return int(self.marked.any(axis=2).sum())

    def _indices(self, points):
        """Return the voxels (N, 3) of those points that are inside."""
        found = np.floor((points - self.corner) / self.cell).astype(int)
        return found[((found >= 0) & (found < self.marked.shape)).all(axis=1)]

    def _clear(self, points, camera, source):
        if not len(self._indices(camera[None])):  # "out of map bounds ... cannot raytrace for it"
            return
        rays = points - camera
        length = np.linalg.norm(rays, axis=1, keepdims=True)
        rays = rays / length
        end = np.minimum(length - 2 * self.cell[0], source['raytrace_max_range'])
        for distance in np.arange(
            source['raytrace_min_range'], source['raytrace_max_range'], self.cell.min() / 3
        ):
            passed = self._indices((camera + distance * rays)[(distance <= end)[:, 0]])
            self.marked[tuple(passed.T)] = False

    def _mark(self, points, camera, source):
        distance = np.linalg.norm(points - camera, axis=1)
        near = (distance >= source['obstacle_min_range']) & (
            distance < source['obstacle_max_range']
        )
        low = points[:, 2] <= self.layer['max_obstacle_height']
        self.marked[tuple(self._indices(points[near & low]).T)] = True


def _within_heights(points, source):
    """What ObservationBuffer keeps: a comparison with NaN is false."""
    z = points[:, 2]
    return points[(z >= source['min_obstacle_height']) & (z <= source['max_obstacle_height'])]


def odom_from_optical(height, pitch=10.0):
    """A camera above the origin that looks along x and down; the transform as in docs."""
    half = np.deg2rad(pitch) / 2
    ahead = (-0.5, 0.5, -0.5, 0.5)  # of x right, y down, z ahead in x ahead, y left, z up
    down = (0, 0, 0, 0, np.sin(half), 0, np.cos(half))
    return transform.compose((0, 0, height, *down[3:]), (0, 0, 0, *ahead))


def true_depth(odom_from_camera, box):
    """The depth (H, W) of a floor and a wall, with or without the box on the floor."""
    rays = Camera(WIDTH, HEIGHT, FOCAL, FOCAL, 319.5, 239.5).rays.reshape(-1, 2)
    rotation, camera = transform.split(odom_from_camera)
    rays = np.column_stack([rays, np.ones(len(rays))]) @ rotation.T
    with np.errstate(divide='ignore'):
        depth = np.minimum(WALL / rays[:, 0], np.where(rays[:, 2] < 0, -camera[2] / rays[:, 2], 99))
        slabs = np.sort((BOX[:, None] - camera) / rays, axis=0)
    enter, leave = slabs[0].max(axis=1), slabs[1].min(axis=1)
    if box:
        depth = np.where(enter <= leave, np.minimum(depth, enter), depth)
    return depth.reshape(HEIGHT, WIDTH).astype(np.float32)


def settings_of_the_page():
    """The parameters that the page gives the node."""
    [block] = re.findall(r'( +/\*\*:\n(?: {6}.*\n)+)', PAGE)
    return Settings().replace(yaml.safe_load(block)['/**']['ros__parameters'])


def seen(parameters, settings, height=0.6):
    """The obstacle cells with the box there, and those that are left when it has gone."""
    costmap, odom_from_camera = Costmap(parameters), odom_from_optical(height)
    cells = []
    for box in (True, False):
        pipeline = Pipeline(FakeEngine(true_depth(odom_from_camera, box)), settings)
        frame = pipeline.process(Picture(np.zeros((HEIGHT, WIDTH, 3), np.uint8), CALIBRATION))
        points = pipeline.points(frame).reshape(-1, 3)
        costmap.update(transform.apply(odom_from_camera, points), np.array(odom_from_camera[:3]))
        cells.append(costmap.lethal())
    return cells


@pytest.fixture
def parameters():
    """Those of the file."""
    return copy.deepcopy(COSTMAP['/**/local_costmap']['local_costmap']['ros__parameters'])


@pytest.mark.parametrize('more', [{}, {'voxel_size': 0.05}, {'stride': 1}, {'organized': True}])
def test_what_has_gone_is_cleared(parameters, more):
    """The box is marked: its front of 0.6 m is 12 cells of 5 cm, or 13; nothing is left of it."""
    there, left = seen(parameters, settings_of_the_page().replace(more))
    assert there >= 12
    assert left == 0


def test_one_source_does_not_clear(parameters):
    """The rule that takes two: the height limits of the marking drop the ends on the floor."""
    layer = parameters['depth_layer']
    one = {**layer['depth_clear'], **layer['depth_mark'], 'clearing': True}
    parameters['depth_layer'] = {**layer, 'observation_sources': 'one', 'one': one}
    there, left = seen(parameters, settings_of_the_page())
    assert there >= 12
    assert left > 0


def test_points_that_the_node_leaves_out_clear_nothing(parameters):
    """With the node's max_range before the wall there is no ray to it."""
    there, left = seen(parameters, settings_of_the_page().replace({'max_range': 4.0}))
    assert there >= 12
    assert left > 0


def test_a_camera_above_the_voxels_clears_nothing(parameters):
    """The top of 16 voxels of 0.1 m is 1.6 m; the page says so, and what to do."""
    layer = parameters['depth_layer']
    top = layer['origin_z'] + layer['z_voxels'] * layer['z_resolution']
    assert f'{top:g} m' in PAGE
    assert seen(parameters, settings_of_the_page(), height=top - 0.01)[1] == 0
    there, left = seen(parameters, settings_of_the_page(), height=top + 0.01)
    assert there == left > 0
    layer['z_resolution'] = 0.15
    assert seen(parameters, settings_of_the_page(), height=top + 0.01)[1] == 0


def test_the_static_transform_of_the_page():
    """The command is the row for a camera that looks straight ahead, and each row is right."""
    rows = re.findall(r'^\| (\d+) ((?:\| -?0\.\d{4} ){4})\|$', PAGE, re.M)
    assert len(rows) == 5
    for pitch, row in rows:
        given = [float(number) for number in row.replace('|', ' ').split()]
        expected = odom_from_optical(0.5, float(pitch))[3:]
        np.testing.assert_allclose(given, expected, atol=6e-5)
    command = dict(re.findall(r'--q(\w) (-?\d\.\d)', PAGE))
    assert [float(command[axis]) for axis in 'xyzw'] == [-0.5, 0.5, -0.5, 0.5]


def test_it_is_of_this_node(parameters):
    """Each plugin and source is described, and the sources are the node's cloud."""
    assert all(name in parameters for name in parameters['plugins'])
    for source in Costmap(parameters).sources:
        assert (source['topic'], source['data_type']) == ('/points', 'PointCloud2')
    assert parameters['depth_layer']['z_voxels'] <= 16
