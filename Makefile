# Two commands: `make run` starts the gateway, `make test` runs every check. Both first make what they need in .venv,
# from PyPI alone, and compile edge/_fast; that takes half a minute once and nothing when nothing changed.

VENV   ?= .venv
BIN    := $(VENV)/bin
NEWEST := import sys; raise SystemExit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	    $$p -c '$(NEWEST)' 2>/dev/null && echo $$p; done) python-3.11-or-newer-is-needed)
SOURCES := $(wildcard $(foreach room,edge/_fast edge/_fast/*,$(addprefix $(room)/,*.pyx *.pxd *.pxi *.h)))
ARGS   ?=

.PHONY: run test test-clients check-deploy lint pages prices rows bench scenario sanitize fuzz faults fleet locks sbom clean
.DEFAULT_GOAL := run

run: $(VENV)/.built         ## start the gateway; ARGS="--config edge.yaml --workers 2" are handed on to `edge serve`
	@$(BIN)/edge serve $(ARGS)

# Tests mostly wait: three at a time keep two processors busy. A module stays together, as it shares gateways. Without
# bytecode each of the hundreds of gateways would compile its modules; an empty value is as good as none.
test: $(VENV)/.built $(VENV)/.dev          ## all tests; ARGS="tests/laws -x" are handed on to pytest
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

CLIENTS := .clients
test-clients: $(VENV)/.built $(VENV)/.dev $(CLIENTS)/.node $(CLIENTS)/.python   ## real clients of npm and PyPI, in minutes
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest tests/clients -n 2 --dist loadfile $(ARGS)

# What neither PyPI nor the machine has comes from Debian's archive, unpacked and not installed.
DEBIAN := .deploy
check-deploy: $(VENV)/.built $(VENV)/.dev $(VENV)/.deploy $(DEBIAN)/.fetched   ## deploy/ by the programs that read it, none left out
	@CHECK_DEPLOY=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest tests/deploy $(ARGS)

lint: $(VENV)/.built $(VENV)/.dev          ## the laws alone: ruff, mypy, stubs, cython-lint, layers, sizes
	@$(BIN)/pytest tests/laws $(ARGS)

pages: $(VENV)/.built       ## write anew what is made of tables: states, metrics, alerts, dashboards, contracts' references
	@$(BIN)/python docs/states.py
	@$(BIN)/python -m deploy.monitoring
	@for name in $(basename $(notdir $(wildcard edge/contract/contracts/*.yaml))); do \
	    line="edge errors --contract $$name --format markdown"; \
	    { echo "<!-- Made by: $$line -->"; $(BIN)/$$line; } >edge/contract/contracts/$$name.md; done

prices: $(VENV)/.built      ## write the list of what providers ask anew, of the newest genai-prices
	@$(PIP) --upgrade genai-prices
	@$(BIN)/python -m deploy.prices

rows: $(VENV)/.built $(VENV)/.dev          ## write docs/rows.md anew, of a run of the tests: every row of the contracts and its answer
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -p no:randomly tests/gateway/test_rows.py --write-rows

bench: $(VENV)/.built $(VENV)/.dev         ## figures of bench/README.md that fit in a few minutes, and the latency guard
	@$(BIN)/python bench/micro.py
	@$(BIN)/python bench/compare.py json
	@$(BIN)/python bench/compare.py reject
	@$(BIN)/python bench/guard.py

scenario: $(VENV)/.built $(VENV)/.dev      ## a load that teams have, and a report; ARGS="outage --seconds 30", see bench/README.md
	@$(BIN)/python bench/scenario.py $(ARGS)

sanitize: $(VENV)/.built $(VENV)/.dev   ## the suite under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy
	@PYTHON=$(abspath $(BIN))/python tests/sanitize/run.sh $(ARGS)

fuzz: $(VENV)/.built $(VENV)/.dev          ## ten million inputs for the parsers; ARGS="--inputs 100000 --seed 7"
	@$(BIN)/python tests/sanitize/fuzz.py $(ARGS)

PROOFS := cuts multiplied leaving "storm kill" "storm reload" "storm upgrade" billing slowloris overload memory fleet places
faults: $(VENV)/.built $(VENV)/.dev        ## the proofs of tests/faults, but for the soak of half an hour
	@set -e; for proof in $(PROOFS); do echo "== $$proof"; $(BIN)/python -m tests.faults.$$proof; done

fleet: $(VENV)/.built $(VENV)/.dev         ## three gateways that share a limit, their Valkey and a provider, to look at
	@$(BIN)/python -m tests.fleet.look

# What an image and an SBOM are made of: everything by version and hash, for all Pythons and machines. Versions that are
# in a file stay while they fit; without the file they are the newest.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
BUILDS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
locks: $(VENV)/.deploy      ## lock the dependencies anew, in deploy/requirements*.txt
	@$(LOCK) --no-annotate --extra postgresql pyproject.toml --output-file deploy/requirements.txt
	@$(BIN)/python -c '$(BUILDS)' | \
	    $(LOCK) --no-annotate - --output-file deploy/requirements-build.txt

sbom: $(VENV)/.deploy       ## dist/sbom.json, in CycloneDX's form: of an environment that has what is locked
	@rm -rf build/sbom && mkdir -p build dist && $(PYTHON) -m venv --without-pip build/sbom
	@$(BIN)/python -m pip --disable-pip-version-check --quiet --python build/sbom/bin/python install --no-deps \
	    --require-hashes --requirement deploy/requirements.txt
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.json \
	    build/sbom

clean:                      ## remove the environments and everything compiled
	rm -rf $(VENV) $(CLIENTS) $(DEBIAN) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edge/_fast -name '*.c' -delete -o -name '*.so' -delete
	find edge tests bench -name __pycache__ -prune -exec rm -rf {} +

# Stamps. The build requirements live in the environment itself, so that a changed .pyx is recompiled alone, without pip
# and without a network. gateway.pyx takes a compiler as long as all others do, so these two go side by side, and beside
# them pip, which installs edge without compiling anything itself (it would do it a second time).
OTHERS := $(filter-out gateway,$(notdir $(basename $(filter %.pyx,$(SOURCES)))))
BUILD  := $(BIN)/python setup.py --quiet build_ext --inplace
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install
NEEDED := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")

$(VENV)/.pip:
	@echo "making the environment in $(VENV) and compiling; this happens once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c '$(NEEDED)' >$(VENV)/needed.txt
	@$(PIP) --requirement $(VENV)/needed.txt & first=$$!; $(PIP) "setuptools>=80" "cython>=3.1"; second=$$?; \
	    wait $$first && exit $$second
	@touch $@

# An editable package is a path in the environment then, and not an import hook, which doubles the start of any Python.
$(VENV)/.installed: $(VENV)/.pip pyproject.toml setup.py
	@PYTHONWARNINGS=ignore EDGE_ONLY=none $(PIP) --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

$(VENV)/.compiled: $(VENV)/.pip setup.py $(SOURCES)
	@EDGE_ONLY=gateway $(BUILD) & first=$$!; EDGE_ONLY="$(OTHERS)" nice $(BUILD); second=$$?; \
	    wait $$first && exit $$second
	@touch $@

$(VENV)/.built: $(VENV)/.pip pyproject.toml setup.py $(SOURCES)
	@$(MAKE) --no-print-directory -j2 $(VENV)/.compiled $(VENV)/.installed
	@touch $@

# pip older than 25.1 knows no dependency groups.
$(VENV)/.dev: $(VENV)/.installed pyproject.toml
	@$(PIP) "pip>=25.1"
	@$(PIP) --group dev
	@touch $@

$(VENV)/.deploy: $(VENV)/.dev
	@$(PIP) --group deploy
	@touch $@

$(DEBIAN)/.fetched:
	@mkdir -p $(DEBIAN)
	@command -v prometheus >/dev/null || { cd $(DEBIAN) && apt-get -qq download prometheus && dpkg -x prometheus_*.deb .; }
	@touch $@

# What cannot be installed does not stop the others: its tests fail and tell what is in the log.
$(CLIENTS)/.node: tests/clients/package.json tests/clients/package-lock.json
	@echo "installing the clients of npm in $(CLIENTS); this happens once"
	@mkdir -p $(CLIENTS)/node && cp $^ $(CLIENTS)/node/
	@npm ci --prefix $(CLIENTS)/node --no-audit --no-fund >$(CLIENTS)/node.log 2>&1 && touch $@ || tail -n 3 $(CLIENTS)/node.log

$(CLIENTS)/.python: tests/clients/requirements.txt
	@echo "installing the clients of PyPI in $(CLIENTS); this happens once"
	@mkdir -p $(CLIENTS)
	@{ $(PYTHON) -m venv $(CLIENTS)/python && $(CLIENTS)/python/bin/pip install --quiet -r $<; } \
	    >$(CLIENTS)/python.log 2>&1 && touch $@ || tail -n 3 $(CLIENTS)/python.log
