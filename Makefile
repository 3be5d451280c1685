# Everything here works on a fresh machine with Python 3.11 or newer, make, and a package registry.
# Packages go to .venv in this folder, at the versions of constraints.txt.

# The first of these that is new enough; another one: make test PYTHON=/path/to/python
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,$(shell \
	$(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(python))) python3)
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))

VENV = .venv
OLDEST = .venv-oldest
WORKERS ?= 2
CONSTRAINTS = constraints.txt

# pip reads these; the second name is for the packages that a build needs, from pip 25.3 on.
export PIP_CONSTRAINT = $(CONSTRAINTS)
export PIP_BUILD_CONSTRAINT = $(CONSTRAINTS)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# make compose KEY="D minor" PROGRESSION="i VI III VII" COUNT=3; every other option goes in ARGS.
# Only what is given after `make` counts: a KEY or SEED of the shell's environment does not.
OUT = out
quoted = '$(subst ','\'',$($(1)))'
given = $(if $(filter command,$(firstword $(origin $(1)))),--$(2)=$(call quoted,$(1)))
OPTIONS = $(call given,KEY,key) $(call given,PROGRESSION,progression) $(call given,BARS,bars) \
	$(call given,METER,meter) $(call given,COUNT,count) $(call given,SEED,seed) \
	$(call given,TEMPO,tempo) $(call given,OPENING,opening) $(ARGS)

# The small suite: three tasks, nine policies that learn nothing, two agents, five seeds of each.
leaderboard: OUT = out/leaderboard
SMALL = --suite small --entries simple acmg_ppo acmg_ppo_free --seeds 5 --best-of 64

.PHONY: help compose leaderboard test test-oldest lint format clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## List what make can do
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F '|' '{printf "%-14s %s\n", $$1, $$2}'

compose: $(VENV)/.compose  ## Compose melodies into out/ (KEY= PROGRESSION= BARS= METER= COUNT= SEED= TEMPO= OPENING= OUT= ARGS=)
	@$(VENV)/bin/musicgym compose --out $(call quoted,OUT) $(OPTIONS)

leaderboard: $(VENV)/.compose  ## Run a small leaderboard and write its page into out/leaderboard/ (OUT= ARGS=)
	@$(VENV)/bin/musicgym leaderboard run --out $(call quoted,OUT)/records $(SMALL) --jobs $(WORKERS) $(ARGS)
	@$(VENV)/bin/musicgym leaderboard show $(call quoted,OUT)/records
	@$(VENV)/bin/musicgym leaderboard page $(call quoted,OUT)/records --out $(call quoted,OUT)/site

test: $(VENV)/.dev  ## Check the style and the types, run the tests, print a summary
	@$(call run_checks,$(LINT) 'pytest -n $(WORKERS)')

lint: $(VENV)/.dev  ## Check the style and the types only
	@$(call run_checks,$(LINT))

format: $(VENV)/.dev  ## Put imports and lines into shape
	@$(VENV)/bin/ruff check --fix-only --quiet
	@$(VENV)/bin/ruff format

test-oldest: $(OLDEST)/.dev  ## Run the environment's tests with gymnasium 1.2, in a .venv-oldest of its own
	@$(OLDEST)/bin/python -c 'import gymnasium; print("gymnasium", gymnasium.__version__)'
	@$(OLDEST)/bin/pytest -n $(WORKERS) tests/test_env.py tests/test_vector_env.py \
		tests/test_tensor.py tests/test_properties.py

clean:  ## Remove the virtual environments and all caches in this folder; out/ stays
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find musicgym rewards agents benchmarks tests examples docs -name __pycache__ -exec rm -rf {} +

# Every check runs, also after one that failed; the summary comes last, and the status tells.
LINT = 'ruff check' 'ruff format --check' 'mypy'
define run_checks
status=0; summary=; \
for check in $(1); do \
	echo "== $$check"; start=$$(date +%s); \
	if $(VENV)/bin/$$check; then verdict=passed; else verdict=FAILED; status=1; fi; \
	summary="$$summary$$(printf '%-20s %s in %s s' "$$check" $$verdict $$(($$(date +%s) - start)))|"; \
done; \
echo "== summary"; echo "$$summary" | tr '|' '\n'; exit $$status
endef

# A stamp says what is installed: .compose the package with two extras, .dev everything.
NEEDS = pyproject.toml constraints.txt

%/.created:
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "musicgym needs Python 3.11 or newer, but" \
		"$(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "== creating $(@D)"
	@$(PYTHON) -m venv $(@D)
	@touch $@

$(VENV)/.compose: $(VENV)/.created $(NEEDS)
	@echo "== installing musicgym[score,audio] into $(VENV) (a few minutes the first time)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[score,audio]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created $(NEEDS)
	@echo "== installing musicgym[dev] into $(VENV) (a few minutes the first time)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.compose $@

$(OLDEST)/constraints.txt: $(OLDEST)/.created constraints.txt
	@sed 's/^gymnasium==.*/gymnasium==1.2.*/' constraints.txt > $@

$(OLDEST)/.dev: CONSTRAINTS = $(OLDEST)/constraints.txt
$(OLDEST)/.dev: $(OLDEST)/constraints.txt $(NEEDS)
	@echo "== installing musicgym[dev] with gymnasium 1.2 into $(OLDEST)"
	@$(OLDEST)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.PRECIOUS: %/.created
