# SPDX-License-Identifier: Apache-2.0
# The node on ROS 2; docs/install.md says how to run it.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /workspace
COPY package.xml src/depth_pcd_ros/

# Of rosdep's keys, those that pip installs are left to the virtual environment below.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y python3-venv \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install --rosdistro "${ROS_DISTRO}" --from-paths src -y -t build -t exec \
        --skip-keys "python3-torch python3-huggingface-hub-pip python3-rosbags-pip" \
    && rm -rf /var/lib/apt/lists/*

# INDEX: where pip finds torch; PyPI's needs CUDA's libraries, which come with it.
ARG INDEX=
RUN python3 -m venv --system-site-packages .venv \
    && touch .venv/COLCON_IGNORE \
    && .venv/bin/pip install --no-cache-dir ${INDEX:+--extra-index-url "${INDEX}"} \
        'torch>=2.6' openvino safetensors huggingface_hub rosbags

COPY . src/depth_pcd_ros
RUN . "/opt/ros/${ROS_DISTRO}/setup.bash" && .venv/bin/python -m colcon build

# The models that are downloaded stay in this volume.
VOLUME /root/.cache/huggingface
ENTRYPOINT ["/ros_entrypoint.sh", "/bin/bash", "-c", "source install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "depth_pcd_ros", "depth_pcd.launch.py", "image:=/camera/image_raw"]
