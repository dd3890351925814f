# The front door. `make help` lists what it does; every command also works by hand in the activated environment.

PYTHON ?= python3
VENV   = .venv
BASE   ?= origin/main

# Without its report, a deployment is something that DVC has to do.
DEPLOY = rm -f reports/deployment.json && dvc repro deploy

export PATH := $(abspath $(VENV))/bin:$(PATH)
# DVC runs stages in the login shell, which may be fish, or nologin.
export SHELL := /bin/sh
# A person's own settings of Python are meant for other environments.
unexport $(filter PYTHON%,$(.VARIABLES))

.DEFAULT_GOAL := help
.PHONY: always help env repro verify study study-status share deploy predict undeploy jobs review check-lock test browser soak bench bench-peers lint format lock cloud-up cloud-down cloud-status

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: .dvc/config.local .dvc/localcloud-aws-config .dvc/plots.html  ## make the environment and connect this clone to the embedded store

.dvc/config.local .dvc/localcloud-aws-config: $(VENV)/.installed
	@python -m fashion_cnn.localcloud connect

.dvc/plots.html: $(VENV)/.installed | .dvc/config.local
	@python -m fashion_cnn.experiments.plots

# Asked each time: a file's date does not tell that the clone was moved, or that PYTHON is another one.
$(VENV)/.installed: always
	@$(PYTHON) environment.py $(VENV)

repro: env  ## run the whole study, deploy the candidate, push all results to the store, print the table
	@# A store that has nothing of these results yet is not asked for them: DVC would warn at every stage.
	@case "$$(dvc status --cloud --json 2>/dev/null)" in *'"deleted"'*) pull=--pull ;; *'"missing"'*) pull= ;; *) pull=--pull ;; esac; \
	  echo dvc repro $$pull; dvc repro $$pull
	@# DVC knows what this clone deployed last; another one may have deployed since.
	@python -m fashion_cnn.cloud status >/dev/null || $(DEPLOY)
	dvc push --run-cache
	@cat reports/comparison/summary.md
	@echo
	@echo "The report: $(CURDIR)/reports/index.html"
	@python -m fashion_cnn.cloud status
	@python -m fashion_cnn.experiments.provenance

verify: env  ## does this machine train the same bytes as the committed reference? under a minute
	@python -m fashion_cnn.experiments.verification

study: env  ## run a named study of experiments.yaml: make study NAME=kernel-sweep [JOBS=2] [POINTS="3 5"] [WHERE=sagemaker]
	@python -m fashion_cnn.experiments.studies run "$(or $(NAME),$(error name a study of experiments.yaml: make study NAME=kernel-sweep))" --jobs "$(JOBS)" --points "$(POINTS)" --where "$(WHERE)"

study-status: env  ## which points of which study have a result, run, or wait
	@python -m fashion_cnn.experiments.studies status

share: env  ## push a study's experiments, results and run cache: make share NAME=kernel-sweep
	@python -m fashion_cnn.experiments.studies share "$(or $(NAME),$(error name a study of experiments.yaml: make share NAME=kernel-sweep))"

deploy: env  ## deploy what is in the workspace, an experiment too, whatever serves now
	$(DEPLOY)

# By way of the environment, as it was typed: a name may hold dollars, quotes and spaces.
predict: override export IMAGE := $(value IMAGE)
predict: env  ## ask the deployed model: make predict IMAGE=picture.png (or a folder, or - for standard input)
	@$(if $(value IMAGE),,$(error name a picture: make predict IMAGE=picture.png))python -m fashion_cnn.cloud predict -- "$$IMAGE"

undeploy: env  ## remove the endpoint and all that belongs to it
	@python -m fashion_cnn.cloud undeploy

jobs: env  ## list the training jobs of `cloud.train: sagemaker`: states, durations, reasons
	@python -m fashion_cnn.cloud jobs

# Not `env`: where nobody connected this clone to a store, none is started, and the review says what it could not ask.
review: $(VENV)/.installed  ## what a reviewer needs to know of this branch, in review/: make review BASE=origin/main
	@python -m fashion_cnn.experiments.review "$(BASE)"

check-lock: $(VENV)/.installed  ## is the committed dvc.lock that of the committed code and parameters?
	@python -m fashion_cnn.experiments.freshness

test: env browser  ## run the whole test suite
	pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

# The endpoint's page is tested in a real browser.
browser:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null && command -v chromedriver >/dev/null \
	  || { sudo=$$([ "$$(id -u)" = 0 ] || echo sudo -n); $$sudo apt-get -qq update && $$sudo apt-get -qq install --no-install-recommends chromium chromium-driver >/dev/null; } \
	  || { echo "error: the tests need Chromium and chromedriver in PATH; on Debian: apt-get install chromium chromium-driver"; exit 1; }

soak: env  ## 10,000 malformed requests to the endpoint in service, then a minute of load
	python tests/soak_endpoint.py malformed
	python tests/soak_endpoint.py load

bench: env  ## measure it beside the notebook, Flask and (after `make bench-peers`) PyTorch: benchmarks/results/
	python -m benchmarks $(if $(wildcard .venv-peers/bin/python),--torch-python $(CURDIR)/.venv-peers/bin/python)

# pip, because uv prefers the build of PyTorch that brings CUDA.
bench-peers:  ## make an environment with PyTorch, for `make bench`
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --no-user --disable-pip-version-check torch==2.13.0 numpy

lint: env  ## check style, types and the direction of imports
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format: env  ## put the code into the project's style
	ruff check --fix-only .
	ruff format .

lock: env  ## pin every package again, within pyproject.toml's bounds
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --extra train --extra dev --output-file requirements.txt pyproject.toml

cloud-up: env  ## start the embedded S3 and SageMaker (they also start by themselves when needed)
	@python -m fashion_cnn.localcloud up

cloud-down: env  ## stop the embedded S3 and SageMaker; what they hold stays
	@python -m fashion_cnn.localcloud down

cloud-status: env  ## say whether the embedded S3 and SageMaker run, where, and whether results are missing
	@python -m fashion_cnn.localcloud status || test $$? -eq 3  # 3: the store is stopped, and that is no error
