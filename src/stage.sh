# Runs a stage of the checkout in the present folder, with its own code: sh src/stage.sh NAME [ARGUMENTS]
# The Python is that of the clone's environment, activated or not, also in the copy of the clone that a queued experiment
# runs in; where the clone has none, it is the one in PATH.

clone=${PWD%/.dvc/tmp/exps/*}
python=$clone/.venv/bin/python
[ -x "$python" ] || python=python
PYTHONINSPECT= PYTHONPATH=src PYTHONUTF8=1 exec "$python" -P -m fashion_cnn.stages "$@"
