# make demo: complete a photograph with the model that ships.   make test: the tests.
# make web: the page to complete pictures by hand.
# All make .venv on first use; what they need is installed again only when it changes.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check

.PHONY: demo web test test-all lint

demo: $(VENV)/.installed
	$(RUN) demo.py

# Arguments for the page: make web ARGS="--port 8000"
web: $(VENV)/.installed-web
	$(RUN) web/app.py $(ARGS)

# All but the tests marked slow. Arguments for pytest: make test ARGS="-k masks"
test: $(VENV)/.installed-dev
	$(RUN) -m pytest -m "not slow" $(ARGS)

test-all: $(VENV)/.installed-dev
	$(RUN) -m pytest -m "slow or not slow" $(ARGS)

lint: $(VENV)/.installed-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12"; exit 2; }
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.installed-web: requirements-web.txt $(VENV)/.installed
	$(PIP) -r requirements.txt -r requirements-web.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-web.txt requirements-features.txt requirements-export.txt requirements-remote.txt $(VENV)/.installed
	$(PIP) -r requirements-dev.txt
	touch $@
