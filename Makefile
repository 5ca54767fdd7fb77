# SPDX-License-Identifier: Apache-2.0
# Two commands: make demo, make test. Both set up what is missing, in a virtual environment here.

# VERSIONS=humble, jazzy: the libraries that the distribution comes with, and neither ROS nor torch
VERSIONS ?=
ROS ?= $(if $(VERSIONS),none,kilted)
PYTHON ?= $(or $(PYTHON_$(VERSIONS)),python3)
PYTHON_humble := python3.10
PYTHON_jazzy := python3.12
MODEL ?= demo
DEVICE ?= cuda
# how many processes share the tests, a file each; those in test/ros, which mostly wait, come first
WORKERS ?= 2
# ROS=none: no ROS and no torch, an environment for each Python
NONE := $(if $(filter none,$(ROS)),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
VENV := .venv$(if $(VERSIONS),-versions-$(VERSIONS),$(if $(filter-out kilted,$(ROS)),-$(ROS))$(NONE))
PY := $(VENV)/bin/python
REQUIREMENTS := $(if $(VERSIONS),requirements/$(VERSIONS).txt, \
  requirements/base.txt requirements/dev.txt \
  $(if $(NONE),,requirements/torch.txt requirements/ros-$(ROS).txt))
COLCON := $(VENV)/colcon
# all that depends on being installed; the other tests have no need to run twice
COLCON_TESTS ?= test/ros/test_installed.py test/ros/test_launch.py test/ros/test_rviz.py
WORKSPACE := build/colcon
READY := $(VENV)/ready

# The ROS of the wheels and a sourced one do not mix: here, the wheels are used.
ifneq ($(ROS_DISTRO)$(AMENT_PREFIX_PATH),)
$(info ROS $(ROS_DISTRO) is sourced in this shell; it is left aside, $(VENV) has its own ROS.)
endif
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION PYTHONHOME
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup demo test lint format train eval bench soak rviz-picture colcon clean

help:
	@echo 'make demo          render a recording, run the node on it, write out/demo/ (MODEL=indoor-small ...)'
	@echo 'make test          run all the tests (ROS=jazzy: the other distribution; TESTS=test/ros: some;'
	@echo '                   VERSIONS=humble, jazzy: with the libraries that it comes with, without ROS)'
	@echo 'make lint          ruff, mypy, codespell and, for the Dockerfile, hadolint'
	@echo 'make format        let ruff format'
	@echo 'make colcon        colcon build and colcon test in a workspace of their own, build/colcon'
	@echo 'make rviz-picture  RViz shows the demo; its window as out/rviz/rviz.png'
	@echo 'make eval          accuracy of the demo model, the edge filter and the scale on unseen rooms'
	@echo 'make bench         what every stage costs, beside its limit and other ways'
	@echo 'make gpu           proves a GPU in ten minutes, out/gpu/report.txt (DEVICE=cpu: a small part, without one)'
	@echo 'make soak          20 minutes of everything that happens to a node on a robot'
	@echo 'make train         train the demo model (hours; resumes where it was)'
	@echo 'make clean         remove what make has made, but not the environments'

setup: $(READY)

$(READY): $(REQUIREMENTS) setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.10 to 3.13;" \
	    'name another one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'Setting up $(VENV) with $(if $(NONE),neither ROS nor torch,ROS 2 $(ROS) and torch): a few minutes, once.'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo 'Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(PY) -m pip install --disable-pip-version-check $(REQUIREMENTS:%=-r %) \
	  && flock setup.py $(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e . || { \
	  echo 'The set-up has failed: the last lines above name the package. Is the network there, or' \
	    'a proxy to be set (https_proxy)? Run make again: what was downloaded is kept.' >&2; exit 1; }
	@touch $@

demo: $(READY)
	$(PY) -m scenes.demo --model $(MODEL)

test: $(READY)
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell
	$(VENV)/bin/hadolint Dockerfile

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(READY)
	$(PY) -m bench

gpu: $(READY)
	$(PY) -m bench.gpu --device $(DEVICE)

soak: $(READY)
	$(PY) -m test.soak

rviz-picture: $(READY)
	test -f out/demo/output.mcap || $(PY) -m scenes.demo
	$(PY) -m scenes.rviz_picture

$(COLCON): requirements/colcon.txt $(READY)
	$(PY) -m pip install --disable-pip-version-check -r $<
	@touch $@

colcon: $(COLCON)
	rm -rf $(WORKSPACE)
	mkdir -p $(WORKSPACE)/src/depth_pcd_ros
	git ls-files -z --cached --others --exclude-standard \
	  | xargs -0 cp --parents --target-directory $(WORKSPACE)/src/depth_pcd_ros
	cd $(WORKSPACE) && $(abspath $(VENV))/bin/colcon build
	cd $(WORKSPACE) && $(abspath $(VENV))/bin/colcon test --event-handlers console_direct+ \
	  --return-code-on-test-failure --pytest-args $(COLCON_TESTS)

train: $(READY)
	OMP_WAIT_POLICY=PASSIVE $(PY) -m scenes.train

eval: $(READY)
	$(PY) -m scenes.evaluate
	$(PY) -m scenes.edges
	$(PY) -m scenes.scale
	$(PY) -m scenes.floors

clean:
	rm -rf out build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
