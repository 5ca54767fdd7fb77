# SPDX-License-Identifier: Apache-2.0
import sys
from importlib.util import find_spec
from pathlib import Path

from setuptools import find_packages, setup

package_name = 'depth_pcd_ros'
share = f'share/{package_name}'


def files(folder: str) -> list[str]:
    return [str(path) for path in sorted(Path(folder).glob('*')) if path.is_file()]


# What pip asks for. Before 70.1, setuptools has it from wheel, and says "invalid command" without.
HAS_WHEEL = find_spec('setuptools.command.bdist_wheel') or find_spec('wheel')
if not HAS_WHEEL and {'dist_info', 'editable_wheel', 'bdist_wheel'} & {*sys.argv}:
    sys.exit('This setuptools needs the package wheel: pip install wheel')

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=[package_name, f'{package_name}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (share, ['package.xml']),
        *(
            (f'{share}/{folder}', files(folder))
            for folder in ('config', 'launch', 'models', 'rviz')
        ),
    ],
    python_requires='>=3.10',
    # Ranges for users; requirements/ pins the set-up.
    install_requires=[
        'setuptools',
        'numpy>=1.21',
        'numba>=0.55',
        'torch>=2.6',
        'openvino>=2025.0; platform_machine in "x86_64 AMD64 aarch64 arm64"',
        'safetensors>=0.4',
        'huggingface_hub>=0.20',
        'rosbags>=0.11',
        'pillow>=9.0',
        'tqdm',
        'PyYAML',
    ],
    # colcon test runs pytest because of the extra of this name.
    extras_require={
        'evaluate': ['matplotlib', 'scipy'],
        'ray': ['ray>=2.9'],
        's3': ['universal_pathlib>=0.3', 's3fs'],
        'gs': ['universal_pathlib>=0.3', 'gcsfs'],
        'view': ['viser'],
        'test': ['pytest', 'pytest-timeout', 'hypothesis'],
    },
    zip_safe=True,
    maintainer='depth_pcd_ros maintainers',
    maintainer_email='depth_pcd_ros@example.org',
    description='Turns any camera into a metric depth camera, with Depth Anything.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'depth_pcd_node = depth_pcd_ros.ros.node:main',
            'depth_pcd_rviz = depth_pcd_ros.ros.rviz:main',
            'depth-pcd = depth_pcd_ros.cli:main',
        ],
    },
)
