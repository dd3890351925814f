"""Stand-ins for the model server, which start in half a second: programs for the embedded SageMaker to run."""
