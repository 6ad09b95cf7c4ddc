"""Short windows in which py-spy looks at the Python stacks of a training."""
