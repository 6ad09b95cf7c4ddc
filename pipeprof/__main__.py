"""``python -m pipeprof``: the command line where the ``pipeprof`` script is not on the path."""

from pipeprof.cli import main

main()
