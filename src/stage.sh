# Runs a stage: sh src/stage.sh NAME [ARGUMENTS], in the root of the checkout, whose own code it runs.
# The Python is that of the clone's environment, activated or not, also in a copy of the clone that a queued experiment
# runs in; where the clone has no environment, it is the one in PATH.

clone=${PWD%/.dvc/tmp/exps/*}
python=${VENV:-$clone/.venv}/bin/python
[ -x "$python" ] || python=python
PYTHONPATH=src exec "$python" -P -m fashion_cnn.stages "$@"
