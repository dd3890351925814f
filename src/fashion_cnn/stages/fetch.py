"""Bring Fashion-MNIST into data/raw: the same four files whatever their source."""

from fashion_cnn.core.outputs import output_folder
from fashion_cnn.ingest import download


def main() -> None:
    """Write data/raw/."""
    with output_folder("data/raw") as folder:
        source = download.fetch(folder)
    print(f"fetch: data/raw comes from {source}; every file has its SHA-256")
