# `make` lists what there is. Needs Python 3.11 or newer; another one than python3: make PYTHON=python3.12 ...
PYTHON = python3
VENV = .venv
RUN = $(VENV)/bin/python
INSTALLED = $(VENV)/.installed
INSTALLED_DEV = $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## install everything into .venv

demo: $(INSTALLED)  ## train on training_data, test on testing_data, predict one picture of each class
	$(RUN) train.py --data training_data --test testing_data
	@for folder in testing_data/*/; do find "$$folder" -type f ! -name '.*' | sort | head -n 1; done \
		| tr '\n' '\0' | xargs -0 $(RUN) predict.py --top 3

test: $(INSTALLED_DEV)  ## run the tests, without the slow ones, in two processes
	$(RUN) -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: $(INSTALLED_DEV)  ## run only the slow tests
	$(RUN) -m pytest -q -m slow

lint: $(INSTALLED_DEV)  ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

docs: $(INSTALLED_DEV)  ## build the documentation as a website in build/docs
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -b html docs build/docs

clean:  ## remove .venv and what the tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# An existing interpreter must not count as newer than the packages that were installed with it.
$(INSTALLED): requirements.txt | $(RUN)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED) | $(RUN)
	$(RUN) -m pip install --quiet --requirement requirements-dev.txt
	@touch $@
