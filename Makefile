# Everything that a developer starts. `make help` lists it.
#
# PYTHON makes the virtual environment; ROS names the distribution whose wheels go into it where no
# ROS 2 is sourced, kilted or jazzy; VIDEO is played by the demo; QUICK=1 measures a subset.
PYTHON ?= python3
ROS ?= kilted
VIDEO ?=
QUICK ?=

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help build demo test bench evidence lint clean FORCE

DISTRIBUTIONS := $(patsubst requirements-ros-%.txt,%,$(wildcard requirements-ros-*.txt))
ifeq ($(filter $(ROS),$(DISTRIBUTIONS)),)
$(error There are no wheels of ROS 2 '$(ROS)': take ROS=$(subst $() $(), or ROS=,$(DISTRIBUTIONS)))
endif

# A stamp for each distribution: with another one's, make_env.sh runs, and refuses to mix them.
ENV := .venv/installed-$(ROS).stamp
BUILT := install/built.stamp

# glibc gives blocks as large as those of a training step back to the kernel, which clears them
# anew each time. So they are kept.
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=200000000

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(BUILT)  ## make the environment (.venv) and build the ROS 2 package

demo: $(BUILT)  ## play a clip through the pipeline; VIDEO=file, /dev/video0, bikes or vtest
	@. tools/env.sh && exec python -m vljepa_ros.demo $(if $(VIDEO),--video '$(VIDEO)')

test: $(BUILT)  ## unit tests, ROS 2 tests, style and types
	@failed=0; tools/test.sh || failed=1; $(MAKE) --no-print-directory lint || failed=1; \
	exit $$failed

bench: $(BUILT)  ## measure the nodes; table and JSON (docs/performance.json)
	@. tools/env.sh && exec python benchmarks/all.py --json docs/performance.json

evidence: $(BUILT)  ## measure the paper's claims (docs/evidence.md); QUICK=1: a subset, into runs/
	@. tools/env.sh && export PYTHONPATH="$$PWD/benchmarks:$$PYTHONPATH" $(KEEP_MEMORY) && \
	  exec python -m evidence $(if $(QUICK),--quick)

lint: $(ENV)  ## style (ruff) and types (mypy)
	@failed=0; for check in 'ruff check .' 'ruff format --check .' mypy; do \
	  echo "$$check"; _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 .venv/bin/$$check || failed=1; \
	done; exit $$failed

clean:  ## remove the environment and all that was built; data, runs and recordings stay
	rm -rf .venv build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(ENV): requirements.txt requirements-ros-$(ROS).txt setup.py tools/make_env.sh tools/fix_ros_wheels.py
	PYTHON='$(PYTHON)' ROS='$(ROS)' tools/make_env.sh
	@touch $@

# The installed package links to the sources: only new files, interfaces and build files need a
# new build. Without MAKEFLAGS, colcon has the compiler wait while the machine is busy.
$(BUILT): $(ENV) CMakeLists.txt package.xml $(wildcard msg/*.msg srv/*.srv) build/sources.txt
	. tools/env.sh && MAKEFLAGS=-j$$(nproc) colcon build --symlink-install \
	  --event-handlers console_cohesion- --cmake-args -DBUILD_TESTING=OFF
	@touch $@

build/sources.txt: FORCE
	@mkdir -p build
	@find vljepa_ros config launch scripts -type f -not -path '*/.*' -not -name '*.pyc' \
	  | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
