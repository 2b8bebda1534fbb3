# make demo: the whole path on a rendered corpus. make test: the tests. make check: before a commit. All set up .venv.
# make demo-newest, make test-newest: the same on the newest TensorFlow, in .venv-newest.

# Picks the first Python that starts; a shim of pyenv may be there for a version that is not installed.
first = $(shell for python in $(1); do "$$python" -c "" 2>/dev/null && echo "$$python" && break; done)
pyenv = $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python)
PYTHON ?= $(call first,python3.11 python3.12 $(call pyenv,3.11) $(call pyenv,3.12))
NEWEST ?= $(call first,python3.13 python3.12 $(call pyenv,3.13) $(call pyenv,3.12))
# Refuses a Python that is missing, or of neither version: $(call want,command,variable,version,version)
want = $(if $(1),$(1) -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in ("$(3)", "$(4)"))',false) \
  || { echo "Python $(3)$(if $(filter $(3),$(4)),, or $(4)) is needed: make $(2)=/path/to/python$(4) $(MAKECMDGOALS)" >&2; exit 1; }
BIN := .venv/bin
READY := .venv/ready
NEWEST_READY := .venv-newest/ready
TEST := -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder
# Wheels, so no compiler is needed; promise, which tensorflow-datasets needs for a test, has none, but is Python alone.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --no-binary=promise

.PHONY: setup demo demo-newest test test-newest newest-python check-newest setup-newest test-slow check fuzz lint format lock baselines

setup: $(READY)

# Made anew when missing or older than the lock file; unfinished without its last line.
$(READY): requirements.lock
	@$(call want,$(PYTHON),PYTHON,3.11,3.12)
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) -r requirements.lock
	touch $(READY)

$(NEWEST_READY): requirements-newest.lock
	@$(call want,$(NEWEST),NEWEST,3.12,3.13)
	rm -rf .venv-newest
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python $(INSTALL) -r requirements-newest.lock
	touch $(NEWEST_READY)

demo: $(READY)
	$(BIN)/python -m scripts.demo

test: $(READY)
	$(BIN)/python $(TEST)

setup-newest: $(NEWEST_READY)

demo-newest: $(NEWEST_READY)
	.venv-newest/bin/python -m scripts.demo

test-newest: $(NEWEST_READY)
	.venv-newest/bin/python $(TEST)

newest-python:
	@test "$(NEWEST)" && echo "$(NEWEST)"

# Three minutes of it: videos to a model, runs that go on, files of the other version, imports.
check-newest: $(NEWEST_READY)
	.venv-newest/bin/python $(TEST) tests/scripts/test_first_steps.py tests/scripts/test_resume.py tests/scripts/test_flags.py \
	  tests/test_golden.py tests/test_architecture.py tests/test_dependencies.py tests/test_keras3.py \
	  tests/pipeline/mouth/test_faces.py tests/pipeline/loading/test_tensorflow_io.py

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
	@$(call want,$(PYTHON),PYTHON,3.11,3.12)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Which version a Python gets (python_version in requirements*.txt) is settled here, so that 3.12 takes either lock.
define resolve
@$(call want,$(1),$(2),$(3),$(3))
rm -rf .venv-lock
$(1) -m venv .venv-lock
.venv-lock/bin/python -m pip install --quiet pip-tools==7.6.2
.venv-lock/bin/pip-compile --quiet --upgrade --allow-unsafe --no-header --annotation-style=line --strip-extras \
  --no-emit-index-url --no-emit-find-links -o $(4) \
  requirements.txt requirements-test.txt requirements-tfds.txt requirements-s3.txt requirements-dask.txt
sed -E -i 's/ ; python_version [<>=]+ "3\.13"//' $(4)
rm -rf .venv-lock
endef

lock:
	$(call resolve,$(PYTHON),PYTHON,3.11,requirements.lock)
	$(call resolve,$(NEWEST),NEWEST,3.13,requirements-newest.lock)
