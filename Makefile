# Everything a person does with this checkout; `make` alone lists it.
BOARD ?= netduinoplus2
MODEL ?= raccoon
# Where `make conformance` looks for models.
MODELS ?= ../shared/models
# Processes that run tests.
JOBS ?= 2

bin := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

export PYTHONNOUSERSITE := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-hil setup-dev demo test test-full train-smoke image flash hil bench bench-mcu bench-sentinel conformance lint format clean

help:  ## list these commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    while IFS='|' read -r name what; do printf '  make %-11s %s\n' "$$name" "$$what"; done
	@echo "BOARD=$(BOARD) MODEL=$(MODEL); '$(bin)/lotor boards' lists the boards"

setup:  ## create .venv with what the demo, flashing and verification need
	@tools/setup core

setup-hil:
	@tools/setup hil

setup-dev:  ## the same with TensorFlow, test tools and linters
	@tools/setup dev

demo: setup  ## photographs -> board -> what it saw, on an emulated STM32 unless BOARD= says otherwise
	@$(bin)/lotor demo --board $(BOARD)

test: setup-dev  ## host tests and tests of the emulated boards
	@$(bin)/pytest tests hil_tests -n $(JOBS) --dist loadgroup -m "not slow" -q

test-full: setup-dev  ## the same and the slow ones
	@LOTOR_TEST_FULL=1 $(bin)/pytest tests hil_tests -n $(JOBS) --dist loadgroup -q

train-smoke: setup-dev  ## the whole road: pictures, training, int8, C, a board's bytes; part of `make test`
	@$(bin)/pytest tests/test_train_smoke.py -q

image: setup  ## build the firmware of BOARD with MODEL (one or more) into build/, without flashing it
	@$(bin)/lotor build --board $(BOARD) $(foreach model,$(MODEL),--model $(model)) -o build/$(BOARD)

flash: setup  ## build the firmware with MODEL (one or more) and put it on BOARD
	@$(bin)/lotor flash --board $(BOARD) $(foreach model,$(MODEL),--model $(model))

hil: setup-hil  ## test BOARD over its serial line; JUnit XML in build/
	@mkdir -p build
	@$(bin)/lotor hil --board $(BOARD) --junit build/hil-$(BOARD).xml

bench: setup-dev  ## measured comparisons, each printing ratios from one run
	@for script in $$(grep -l __main__ benchmarks/*.py); do echo "== $$script"; $(bin)/python $$script; done

bench-sentinel: setup-dev  ## the sentinel: frames a second, start-up, memory; what it sees and misses
	@$(bin)/python benchmarks/sentinel.py
	@$(bin)/python benchmarks/sentinel_counts.py

bench-mcu: setup-dev  ## instructions, RAM and flash on every emulated core; writes docs/performance.md
	@$(bin)/python benchmarks/mcu.py -o docs/performance.md

conformance: setup-dev  ## compare every model in MODELS with the reference; writes docs/conformance.md
	@$(bin)/lotor conformance $(MODELS) -o docs/conformance.md

c_files = $(shell git ls-files '*.c' '*.h')

lint: setup-dev  ## ruff, mypy --strict, clang-format, cppcheck
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy
	@$(bin)/clang-format --dry-run -Werror $(c_files)
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability,performance \
	    --inline-suppr --suppressions-list=tools/cppcheck.txt -I kernels -I firmware/include $(c_files)
	@echo "lint: clean"

format: setup-dev  ## rewrite Python and C in the house style
	@$(bin)/ruff check --fix -q . ; $(bin)/ruff format .
	@$(bin)/clang-format -i $(c_files)

clean:  ## remove .venv, caches and build results of this checkout
	@rm -rf .venv .cache build dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    toolchain/lotor/device/*/node_modules toolchain/lotor/device/raspi3b/kernel
