# `make help` lists the targets. Everything is installed into .venv; delete that folder to start anew.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
TRAINING_TESTS := activations augmentation backbones backend checkpoints fitting folding learning_rate optimizers pace \
  shards weights
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras

.PHONY: help setup demo test test-jax lint wheel infra-test lock
.DEFAULT_GOAL := help

help:           ## list the targets
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: .venv/installed  ## install the locked environment into .venv

demo: setup     ## run the whole line on sample images: validate … publish, pull, predict
	@$(RUN) PREFECT_HOME="$(CURDIR)/.prefect" GRAFT_HOME="$(CURDIR)/.graft/home" python -m flows.demo

test: setup     ## run all tests
	@$(RUN) python -m pytest --numprocesses 2 --dist loadfile

test-jax: .venv-jax/installed  ## run the tests of pipeline/training with JAX in place of TensorFlow
	@KERAS_BACKEND=jax .venv-jax/bin/python -m pytest --noconftest $(TRAINING_TESTS:%=tests/test_%.py)

lint: setup     ## check style and layers
	@$(RUN) ruff check

wheel: setup    ## build the small package for those who only use models, into dist/
	@$(RUN) uv build --quiet --wheel --no-build-isolation --out-dir dist

infra-test: setup  ## apply and destroy infra/terraform on an emulator of AWS, about 2 minutes
	@$(RUN) python infra/on_emulator.py

lock: setup     ## compile requirements/*.txt anew from pyproject.toml
	$(COMPILE) --group dev pyproject.toml --output-file requirements/dev.txt
	$(COMPILE) --group gpu pyproject.toml --output-file requirements/gpu.txt
	$(COMPILE) --group cpu pyproject.toml --output-file requirements/cpu.txt
	echo 'uv' | $(COMPILE:--all-extras=) - --output-file requirements/uv.txt

# JAX is no dependency of the project: it stands in an environment of its own
.venv-jax/installed: .venv/installed
	@test -x .venv-jax/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-jax
	$(BIN)/uv pip install --python .venv-jax/bin/python --compile-bytecode --constraint requirements/dev.txt \
	  boto3 h5py jax keras numpy opencv-python-headless pandas pillow pydantic pytest pytest-timeout ruamel-yaml scikit-learn tqdm
	@touch $@

# uv compiles the bytecode: without it, each process of the pipeline starts several seconds later
.venv/installed: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	  "error: Graft needs Python 3.11, 3.12 or 3.13, found %d.%d. Name another one: make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
