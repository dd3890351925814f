"""Bring Fashion-MNIST into data/raw: the same four files whatever their source."""

from fashion_cnn import download, params
from fashion_cnn.stages import output_folder, run


def main() -> None:
    """Write data/raw/."""
    params.load()
    with output_folder("data/raw") as folder:
        source = download.fetch(folder)
    print(f"fetch: data/raw comes from {source}; every file has its SHA-256")


if __name__ == "__main__":
    run(main)
