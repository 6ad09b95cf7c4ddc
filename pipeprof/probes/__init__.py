"""Where training is observed: one file per source. Only these know a framework."""
