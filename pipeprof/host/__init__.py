"""The machine and the packages on it: processors, control groups, versions. Loads no framework."""
