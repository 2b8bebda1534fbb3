# make demo: the whole path on a rendered corpus. make test: the tests. make check: before a commit. All set up .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test test-slow check fuzz lint format lock baselines

setup: $(READY)

# Made anew when missing or older than the lock file; unfinished without its last line.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	touch $(READY)

demo: $(READY)
	$(BIN)/python -m scripts.demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# Under a minute: the linter, the order of imports, and tests that need no video and no training.
FAST := tests/test_architecture.py tests/test_workspace.py tests/pipeline/test_vocab.py tests/pipeline/corpora \
  tests/pipeline/records tests/pipeline/loading/test_plan.py tests/model/test_metrics.py tests/model/test_lexicon.py
check: lint
	$(BIN)/python -m pytest --numprocesses=auto $(FAST)

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# A million damaged records, ten to twenty minutes.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.records 1000000

# What scripts.benchmark measures against, each in an environment of its own.
baselines: $(patsubst scripts/benchmarks/baselines/%.txt,baseline-%,$(wildcard scripts/benchmarks/baselines/*.txt))

baseline-%: .venv-baselines/%/ready
	@echo $(<D)

.PRECIOUS: .venv-baselines/%/ready
.venv-baselines/%/ready: scripts/benchmarks/baselines/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet pip-tools==7.6.2
	.venv-lock/bin/pip-compile --quiet --upgrade --allow-unsafe --no-header --annotation-style=line --strip-extras \
	  --no-emit-index-url --no-emit-find-links -o requirements.lock requirements.txt requirements-test.txt requirements-tfds.txt requirements-s3.txt requirements-dask.txt
	rm -rf .venv-lock
