"""One short file a stage of dvc.yaml: read inputs, call a room, write outputs."""
