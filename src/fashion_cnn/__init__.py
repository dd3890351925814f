"""What a convolutional layer buys on Fashion-MNIST, and what its kernel size changes."""
