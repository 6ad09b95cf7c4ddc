"""pipeprof: is your training waiting for its data, and which line makes it wait?"""

__version__ = "0.1.0"
