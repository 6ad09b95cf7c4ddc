"""The processes that pipeprof itself starts beside a training; they are no part of it."""

# Ids of those that run now.
running: set[int] = set()
