# `make help` lists the targets. Everything is installed into .venv: delete that folder to start over.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
TRAINING_TESTS := activations augmentation backbones backend checkpoints fitting folding learning_rate optimizers pace \
  shards weights
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras

.PHONY: help setup demo test test-jax lint wheel infra-test lock
.DEFAULT_GOAL := help

help:           ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## install the locked packages into .venv: 4 GB of disk (with an NVIDIA GPU 9), a few minutes

demo: setup     ## run the whole pipeline on sample images: validate … publish, pull, predict
	@$(RUN) PREFECT_HOME="$(CURDIR)/.prefect" GRAFT_HOME="$(CURDIR)/.graft/home" python -m flows.demo

test: setup     ## run all tests
	@$(RUN) python -m pytest --numprocesses 2 --dist loadfile

test-jax: .venv-jax/installed  ## run the tests of pipeline/training with JAX instead of TensorFlow
	@KERAS_BACKEND=jax .venv-jax/bin/python -m pytest --noconftest $(TRAINING_TESTS:%=tests/test_%.py)

lint: setup     ## check style, layers and types
	@$(RUN) ruff check
	@$(RUN) mypy

wheel: setup    ## build the small package for users of models into dist/
	@$(RUN) uv build --quiet --wheel --no-build-isolation --out-dir dist

infra-test: setup  ## apply and destroy infra/terraform on an emulator of AWS: 2 minutes
	@$(RUN) python infra/on_emulator.py

lock: setup     ## update requirements/*.txt from pyproject.toml
	$(COMPILE) --group dev pyproject.toml --output-file requirements/dev.txt
	$(COMPILE) --group gpu pyproject.toml --output-file requirements/gpu.txt
	$(COMPILE) --group cpu pyproject.toml --output-file requirements/cpu.txt
	$(COMPILE:--all-extras=) --extra serve --extra sign --constraint requirements/dev.txt pyproject.toml --output-file requirements/serve.txt
	echo 'uv' | $(COMPILE:--all-extras=) - --output-file requirements/uv.txt

# The project does not depend on JAX, so JAX has its own environment.
.venv-jax/installed: .venv/installed
	@echo "setup      JAX and the packages of its tests into .venv-jax"
	@test -x .venv-jax/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-jax
	@$(BIN)/uv pip install --quiet --python .venv-jax/bin/python --compile-bytecode --constraint requirements/dev.txt \
	  boto3 h5py jax keras numpy onnx opencv-python-headless pandas pillow pydantic pytest pytest-timeout ruamel-yaml scikit-learn tqdm
	@touch $@

.venv/installed: requirements/uv.txt requirements/dev.txt requirements/gpu.txt requirements/install.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: Graft needs Python 3.11, 3.12 or 3.13, and there is no command" \
	  "$(PYTHON). Install Python, or name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	  "error: Graft needs Python 3.11, 3.12 or 3.13, found %d.%d. Name another one: make setup PYTHON=python3.12" % sys.version_info[:2])'
	@$(PYTHON) requirements/install.py
	@touch $@
