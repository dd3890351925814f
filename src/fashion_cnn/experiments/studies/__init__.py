"""Named studies: what experiments.yaml asks, running its points, and what their results tell."""
