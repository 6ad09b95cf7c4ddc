"""How a program that Ctrl-C has ended ends the command that ran it."""

import sys
from typing import NoReturn


class ScriptInterruptedError(BaseException):
    """The user's script has ended by Ctrl-C, and its report is shown.

    The command line's library would take a KeyboardInterrupt for an error of its own.
    """


def end_by_interrupt() -> NoReturn:
    """Ends this process as Python ends one after Ctrl-C, by the signal: a loop of a shell ends with it.

    Exit handlers still run. No traceback is written.
    """
    sys.excepthook = lambda *raised: None
    raise KeyboardInterrupt from None
