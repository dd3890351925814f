"""Measurements of this project beside what people would take instead. `python -m benchmarks --help` lists them."""
