"""Probes of the system: threads, processes, memory, disk, network and GPUs of the training."""
