"""PyTorch's and grain's loaders, which Keras takes too; recognised by the names of their classes."""
