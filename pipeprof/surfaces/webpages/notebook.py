"""Recordings shown as pages in notebooks; knows IPython only where it runs already."""

import sys

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.profile import Profile


def show_profiles_as_pages() -> None:
    """Has IPython, if this is one of its sessions, show a `Profile` that ends a cell as a page."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is not None:
        formatter.formatters["text/html"].for_type(Profile, _render)


def _render(profile: Profile) -> str:
    from pipeprof.surfaces.webpages.webpage import render_in_notebook

    return render_in_notebook(analyse(profile))
