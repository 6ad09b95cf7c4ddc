"""What the system reports of the training: threads, processes, memory, disk, network, GPUs."""
