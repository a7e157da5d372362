# Two commands: `make demo` sets up and runs the whole loop, `make test` sets up and runs every test. `make chaos` takes long.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test chaos setup clean

demo: $(READY)
	$(VENV)/bin/ringrift up --config hex8_2p --generations 3

test: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

chaos: $(READY)
	$(VENV)/bin/python -m pytest tests/faults -m slow -s -rs $(ARGS)

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $(READY)

clean:
	rm -rf $(VENV) .ringrift
