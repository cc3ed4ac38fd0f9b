# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
CORPORA ?= ../shared/corpora

.PHONY: install demo test check docs site lowest fuzz bench results clean

install: .venv/complete

# torch first and alone: without it, other packages would bring a build with gigabytes of GPU libraries. Everything else
# is taken only if its hash is the one that was locked; the project itself is built by what was locked, too.
.venv/complete: pyproject.toml requirements.txt requirements-torch.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps -r requirements-torch.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	.ci/browser-runtime .venv/share/sottovoce
	touch $@

demo: install
	$(BIN)/sottovoce demo --out demo

# Two processes of one thread, since there are two cores. Signals and time are tested by the second, which a terminal
# can interrupt.
FIRST := $(addprefix tests/,attack audio audit contracts corpora experiments jobs methods models report training \
  test_own_recogniser.py)

test: export OMP_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest -o cache_dir=.pytest_cache/first $(FIRST) & first=$$!; \
	  $(BIN)/python -m pytest $(addprefix --ignore=,$(FIRST)); second=$$?; wait $$first && exit $$second

check: install
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(MAKE) docs
	$(MAKE) test

# The pages below docs/, as HTML that loads nothing from elsewhere.
docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# The page with the bundled filters, and the documentation, for any server of static files.
site: docs
	$(BIN)/python docs/make_site.py docs/_build/html site

# The lowest versions that pyproject.toml allows: these run the runtime, graphs, a report and the documentation.
LOWEST := .venv-lowest/bin
lowest: .venv-lowest/complete
	PYTHONPATH=src $(LOWEST)/python -m pytest tests/test_graphs.py tests/test_architecture.py tests/runtime/test_export.py \
	  tests/runtime/test_codebook_filter.py tests/runtime/test_golden.py tests/runtime/test_files.py \
	  tests/audio/test_io.py tests/audit/test_record.py tests/report
	PYTHONPATH=src $(LOWEST)/python -m sphinx -q -W --keep-going -b html docs .venv-lowest/docs

.venv-lowest/complete: lowest.txt requirements-torch.txt
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/pip install --quiet --no-deps -r requirements-torch.txt
	$(LOWEST)/pip install --quiet -r lowest.txt
	touch $@

# With atheris (pip install atheris) guided by coverage, without it by mutations of the corpus.
FUZZ_SECONDS ?= 120
fuzz: install
	$(BIN)/python tests/fuzz/fuzz.py sound-file --seconds $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzz/fuzz.py filter-folder --seconds $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzz/fuzz.py websocket --seconds $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzz/fuzz.py wyoming --seconds $(FUZZ_SECONDS)

bench: install
	$(BIN)/pip install --quiet --no-deps pyrnnoise silero-vad || true  # timed beside ours where they can be had
	$(BIN)/python benchmarks/report.py --corpora $(CORPORA) --out BENCHMARKS.md
	$(BIN)/python benchmarks/attackers.py --corpus ravdess:$(CORPORA)/ravdess

results: install
	$(BIN)/sottovoce experiment first-light --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment optin --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment codebook --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment transfer --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment digit-strings --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment rdal-mixing --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment rdal --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment figure3a --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment figure3b --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment figure4 --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment adr-games --corpora $(CORPORA) --out results
	$(BIN)/sottovoce experiment table1 --out results
	$(BIN)/sottovoce experiment paper-run --corpora $(CORPORA) --out results
	$(BIN)/python benchmarks/third_party.py --corpora $(CORPORA) --out third-party

clean:
	rm -rf .venv .venv-lowest demo docs/_build site
