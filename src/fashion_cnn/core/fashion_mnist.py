"""What is fixed about Fashion-MNIST: its shape, its classes and its files' digests.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; github.com/zalandoresearch/fashion-mnist (MIT licence).
"""

from typing import Final

IMAGE_SIZE: Final = 28
IMAGE_SHAPE: Final = (IMAGE_SIZE, IMAGE_SIZE)
CLASS_NAMES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CLASSES: Final = len(CLASS_NAMES)

TRAIN_IMAGES: Final = "train-images-idx3-ubyte"
TRAIN_LABELS: Final = "train-labels-idx1-ubyte"
TEST_IMAGES: Final = "t10k-images-idx3-ubyte"
TEST_LABELS: Final = "t10k-labels-idx1-ubyte"

# SHA-256 of the decompressed files: archives of the same content differ in their gzip headers.
SHA256: Final = {
    TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
