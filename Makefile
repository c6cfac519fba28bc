# `make` lists what there is. Needs Python 3.11 or newer; another one than python3: make PYTHON=python3.12 ...
PYTHON = python3
VENV = .venv
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow wheel-test image-test lint docs clean environment development

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: environment  ## install everything into .venv

demo: environment  ## train on training_data, test on testing_data, predict one picture of each class
	$(RUN) train.py --data training_data --test testing_data
	@for folder in testing_data/*/; do find "$$folder" -type f ! -name '.*' | sort | head -n 1; done \
		| tr '\n' '\0' | xargs -0 $(RUN) predict.py --top 3

test: development  ## run the tests, without the slow ones, in two processes
	$(RUN) -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: development  ## run only the slow tests, in two processes
	$(RUN) -m pytest -q -n 2 --dist loadfile -m slow

wheel-test: environment  ## build the wheel, and use it in an environment of its own
	$(RUN) tools/wheel_test.py

image-test: environment  ## do what the Dockerfile says, without Docker (Linux, root)
	$(RUN) tools/image_test.py

lint: development  ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

docs: development  ## build the documentation as a website in build/docs
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -b html docs build/docs

clean:  ## remove .venv and what the tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache

# Both look each time whether there is something to do. An environment that does not start any more (its Python is
# removed, or a first installation was interrupted) is made again. The file that was installed is kept in it.
environment:
	@$(RUN) -c 'import pip' >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
			|| { echo "$(PYTHON) is not Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }; \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@cmp -s requirements.txt $(VENV)/requirements.txt || { \
		echo "installing requirements.txt into $(VENV) ..."; \
		$(RUN) -m pip install --quiet --requirement requirements.txt && cp requirements.txt $(VENV)/; }

development: environment
	@cmp -s requirements-dev.txt $(VENV)/requirements-dev.txt || { \
		echo "installing requirements-dev.txt into $(VENV) ..."; \
		$(RUN) -m pip install --quiet --requirement requirements-dev.txt && cp requirements-dev.txt $(VENV)/; }
