# Two commands for a newcomer: `make demo` and `make test`. Both set up .venv once.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint clean

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(READY)
	rm -rf demo
	$(BIN)/cgprot simulate examples/chignolin.pdb --model heavy-0.7-small -o demo/run \
	    --temperature 300 --replicas 4 --time-ps 30 --timestep-fs 2 --output-every-ps 0.25 --seed 7
	$(BIN)/cgprot analyse demo/run --reference examples/chignolin_300K.h5 -o demo/report
	@echo "Open demo/report/report.html"

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo
