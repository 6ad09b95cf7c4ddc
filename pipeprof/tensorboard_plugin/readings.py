"""Keeps the runs of many ranks that were read last, so that another rank of them shows at once."""

import threading
from collections import OrderedDict

from pipeprof.analysis.findings.findings import Findings
from pipeprof.loaded.loaded_ranks import LoadedProcess, LoadedRanks, load_processes
from pipeprof.tensorboard_plugin.library import Shelved

_MOST_KEPT = 2


class Readings:
    """Reads runs; several threads may ask at once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], LoadedRanks] = OrderedDict()
        # Two that want one run must not both read it.
        self._lock = threading.Lock()

    def findings(self, run: Shelved, rank: int | None = None) -> Findings:
        """The findings of a run.

        Args:
            run: the run.
            rank: the rank that all but the verdict on all is about; None for the one that holds the
                others up.

        Raises:
            RunError: there is no run, or nothing of it can be read.
            UsageError: there is no such rank.
        """
        with self._lock:
            read = self._read(run)
        return read.findings(rank)

    def _read(self, run: Shelved) -> LoadedProcess | LoadedRanks:
        key = (run.key, run.version)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        read = load_processes(run.folder)
        if isinstance(read, LoadedRanks) and not read.is_recorded_now:
            self._kept[key] = read
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return read
