# Two commands matter: `make demo` shows what relumen does, `make test` says whether it works.
# Both build .venv first, from nothing but Python 3.11-3.13 and make. `make help` lists the rest.

VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
EXTRAS ?= dev,docs,ray
ROOMS := src models training bioimageio imagej_bridge data shipped
# Folders are listed too: their time changes when a file goes away.
SOURCES := $(shell find $(ROOMS) -name __pycache__ -prune -o -not -name '*.pyc' -print)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-all lint format benchmark docs jar lock clean

help:  ## list these commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14
	@echo 'Choose an interpreter with PYTHON=..., and pass options with DEMO_ARGS=..., PYTEST_ARGS=...'

demo: $(VENV)/.installed  ## train a small model on the shipped images, export, verify, run it in ImageJ
	$(VENV)/bin/relumen demo $(DEMO_ARGS)

test: lint  ## lint, type check, and every test, the Java ones too
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder --durations=25 $(PYTEST_ARGS)

test-all: test demo benchmark  ## test, demo and the long measurements, run by hand

lint: $(VENV)/.installed  ## ruff and pyright
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m pyright --threads 2 --pythonpath $(PY)

format: $(VENV)/.installed  ## let ruff mend what it can
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

benchmark: $(VENV)/.installed  ## the measurements in benchmarks/
	set -e; for script in benchmarks/*.py; do $(PY) $$script; done

docs: $(VENV)/.installed  ## the guide as a site, in site/index.html
	$(PY) -m sphinx -W --keep-going -q docs site

install: $(VENV)/.installed  ## build .venv and install relumen into it

# The first interpreter that runs (a pyenv shim can be on the path and still fail), is of a right version,
# and can make an environment (Debian ships venv without ensurepip).
define FIND_PYTHON
no_pip=; \
for candidate in $${PYTHON:-python3.11 python3.12 python3.13 python3}; do \
	$$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	if $$candidate -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
	no_pip=$$candidate; \
done; \
if [ -z "$$python" ] && [ -n "$$no_pip" ]; then \
	echo "$$no_pip cannot make an environment: its venv module lacks ensurepip." >&2; \
	echo "Install it (on Debian and Ubuntu: apt install $${no_pip##*/}-venv), or name another interpreter: make PYTHON=/path/to/python3.12" >&2; \
	exit 1; \
elif [ -z "$$python" ]; then \
	echo "No Python 3.11, 3.12 or 3.13 that runs was found (tried: $${PYTHON:-python3.11 python3.12 python3.13 python3})." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1; \
fi
endef

$(VENV)/.created:
	@python=; $(FIND_PYTHON); \
	echo "Making $(VENV) with $$python ($$($$python --version))"; \
	$$python -m venv --clear $(VENV)
	$(PIP) install --quiet -c constraints.txt pip setuptools
	@touch $@

$(VENV)/.dependencies: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) install --quiet --no-build-isolation -c constraints.txt '.[$(EXTRAS)]'
	@rm -rf build
	@touch $@

# A plain install, not an editable one: what is tested is what ships, and type checkers can follow it.
$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES) pyproject.toml MANIFEST.in README.md LICENSE
	@rm -rf build  # setuptools would ship a file that is gone from the sources but still lies in build/
	$(PIP) install --quiet --no-build-isolation --no-deps --no-index --force-reinstall .
	@rm -rf build
	@touch $@

jar: $(VENV)/.installed  ## build the Fiji plugin, where Maven is installed
	$(PY) imagej_bridge/java/build.py

lock: $(VENV)/.created  ## write constraints.txt anew from what pyproject.toml allows today
	@$(PIP) install --quiet --dry-run --ignore-installed --only-binary :all: --report $(VENV)/report.json \
		'.[dev,docs,ray,gpu]' pip setuptools
	@{ echo '# What a fresh machine gets, for every extra: resolved on Python 3.11, and checked on 3.12 and 3.13.'; \
	   echo '# Made by: make lock PYTHON=python3.11'; \
	   $(PY) -c 'import json, sys; found = [each["metadata"] for each in json.load(open(sys.argv[1]))["install"]]; \
print(*sorted((each["name"] + "==" + each["version"] for each in found if each["name"] != "relumen"), key=str.lower), sep="\n")' $(VENV)/report.json; \
	 } > constraints.txt.new && mv constraints.txt.new constraints.txt

clean:  ## remove the environment and everything built (runs/ and packages/ stay)
	rm -rf $(VENV) build dist site docs/models *.egg-info .pytest_cache .ruff_cache
	find $(ROOMS) tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
