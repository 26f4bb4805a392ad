# make run    set up and start the gate in its demo
# make test   set up and run the tests
.DEFAULT_GOAL := help
.PHONY: help setup run test check static check-long check-machine check-wheels check-debian sbom deb bench format lock clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
MODELS := .venv/share/gated/models
ASSET_SETS := default demo mesh
# the environment is made anew when the lock or the entry points change, and not otherwise
STAMP := .venv/.made
# where an image sets this, each process that tests start would compile everything anew
unexport PYTHONDONTWRITEBYTECODE

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv with everything for users and developers, and fetch the models
	@$(BIN)/gated assets install $(ASSET_SETS) --into $(MODELS) --quiet

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "gated needs Python 3.11 or later on the PATH (or: make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup  ## start the gate in its demo; Ctrl-C ends it
	@$(BIN)/gated run --config gate.yaml

# One file stays in one process, and so do all of tests/ui: what their tests share is made once. Four
# processes on two cores: tests of whole processes wait more than they work. In the order of
# tests/conftest.py: the longest first. Two arenas: a heap a thread is never given back.
PYTEST := MALLOC_ARENA_MAX=2 $(BIN)/python -m pytest --numprocesses 4 --dist loadfile \
	--no-loadscope-reorder

test: setup  ## run the tests
	@$(PYTEST)

check: static  ## format, lint, types, import contracts, tests
	$(PYTEST)

static: setup  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@# in a new tree, beside the types: else each process of the tests compiles all of them
	@[ -d tests/__pycache__ ] || $(BIN)/python -m pytest --collect-only --quiet >/dev/null & \
		$(BIN)/mypy && wait

check-long: setup  ## everything, also what takes minutes, and a gate at work for an hour
	@$(BIN)/gated assets install default demo pad mesh dlib --into $(MODELS) --quiet || true
	GATED_HYPOTHESIS=long $(BIN)/python -m pytest -m "long or not long"
	$(BIN)/python -m tests.bench.soak 60
	@$(MAKE) --no-print-directory check-debian ARCH=arm64
	@$(MAKE) --no-print-directory deb
	@tests/packaging/try_package.sh
	@tests/packaging/boot_package.sh
	@$(MAKE) --no-print-directory check-machine

check-machine: setup  ## a whole virtual machine: systemd, pins, camera, faults (root, qemu-system-x86)
	$(BIN)/python -m tests.machine $(SCENARIOS)

bench: setup  ## measure everything in one run, beside face_recognition; then the hub; a quarter of an hour
	@$(BIN)/gated assets install dlib --into $(MODELS) --quiet
	@$(BIN)/gated assets install pad --into $(MODELS) --quiet || true
	@$(BIN)/gated bench
	@$(BIN)/python -m tests.bench.hub_load --gates 10 100 --rows 400 --persons 2000

format: setup  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url

lock: setup  ## write the locks anew: everything, and what a gate or hub needs
	$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	echo "hatchling>=1.27" | $(COMPILE) --no-annotate --extra pi --extra osdp --extra hub --extra passkeys \
		-c requirements.lock pyproject.toml - -o requirements-gate.lock

# (Python, machine) for which every locked package has to have a wheel
PAIRS := $(foreach version,3.11 3.12 3.13,$(version)/x86_64 $(version)/aarch64)

check-wheels: setup  ## ask the registry for a wheel of every locked package, Python and machine
	@for pair in $(PAIRS); do for lock in requirements.lock requirements-gate.lock; do \
		$(BIN)/uv pip install --quiet --dry-run --target .venv/wheels --only-binary :all: --require-hashes \
			--python-version $${pair%/*} --python-platform $${pair#*/}-manylinux_2_34 -r $$lock \
			&& echo "Python $${pair%/*} on $${pair#*/}: $$lock" || exit 1; \
	done; done

check-debian:  ## set-up, demo and the chosen tests in a new tree of Debian 13 (root, debootstrap); ARCH=arm64
	@tests/machine/in_debian.sh trixie "" $(ARCH)

sbom: setup  ## write the bill of materials (CycloneDX) of a gate or hub, into dist/
	@mkdir -p dist
	@$(BIN)/python packaging/sbom.py requirements-gate.lock >dist/gated.cdx.json

deb: setup  ## build the Debian packages gated and gated-hub, into dist/; ARCH=arm64 for a Raspberry Pi
	@ARCH=$(ARCH) packaging/build.sh

clean:  ## remove the environment and caches (not the state of the demo)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
