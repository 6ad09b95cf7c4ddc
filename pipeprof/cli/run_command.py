"""``pipeprof run``: runs an unchanged script inside a profile."""

import gc
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import typer

from pipeprof.cli.interrupts import ScriptInterruptedError
from pipeprof.cli.options import LogdirOption, ModuleOption, ScriptArgument, ScriptsArguments
from pipeprof.errors import PipeprofError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.capture.session import Session
    from pipeprof.cli.program import Program


def run(
    script: ScriptArgument,
    arguments: ScriptsArguments = None,
    module: ModuleOption = False,
    logdir: LogdirOption = DEFAULT_LOGDIR,
    name: Annotated[
        str | None, typer.Option(help="Name of the run; the date and time without one.")
    ] = None,
    stacks: Annotated[
        bool, typer.Option("--stacks", help="Look at lines and the GIL with py-spy, now and then.")
    ] = False,
    trace_steps: Annotated[
        int,
        typer.Option(
            metavar="N", help="Trace N steps twice with TensorFlow's profiler, for XProf."
        ),
    ] = 0,
    fingerprint: Annotated[
        bool,
        typer.Option("--fingerprint", help="Hash what the model consumes, to compare runs by."),
    ] = False,
    data_workers: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT,…",
            help="Workers of a tf.data service, where its dispatcher does not know them by a name "
            "that can be reached from here.",
        ),
    ] = "",
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report there as JSON, too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there as a web page, too.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show the training's state below its own output.")
    ] = False,
) -> None:
    """Run a script unchanged and report whether its training waits for its data.

    The report goes to standard error once the script has ended; standard output and the exit code are
    the script's own. SIGTERM and Ctrl-C end the script as they do without pipeprof.
    """
    from pipeprof.capture.probes.system.threads import SAMPLE_HZ
    from pipeprof.capture.session import Session, active
    from pipeprof.capture.settings import WARMUP_STEPS, Settings, split_addresses
    from pipeprof.cli.files import require_writable
    from pipeprof.cli.program import exit_code, find_module, find_script, show_end
    from pipeprof.cli.signals import end_on_sigterm, uninterrupted
    from pipeprof.recording.run_info import RecordedBy

    program = (find_module if module else find_script)(script, arguments or ())
    for path, option in ((json, "--json"), (html, "--html")):
        if path is not None:
            require_writable(path, option)
    try:
        program.load()
    except SyntaxError as unreadable:  # nothing was run, so there is no run to write
        show_end(unreadable)
        sys.exit(exit_code(unreadable))
    # Absolute paths and the present stream, because the script may change its folder and its streams.
    settings = Settings(
        logdir=logdir.absolute(),
        name=name,
        warmup=WARMUP_STEPS,
        sample_hz=SAMPLE_HZ,
        stacks=stacks,
        trace_steps=trace_steps,
        fingerprint=fingerprint,
        data_workers=split_addresses(data_workers),
        recorded_by=RecordedBy.COMMAND,
    )
    session = Session(None, settings)
    json, html = json and json.absolute(), html and html.absolute()
    stderr = sys.stderr
    close_view = _open_live_view(session, stderr) if live else lambda: None

    def report() -> bool:
        try:
            _write_reports(session, stderr, json, html)
            stderr.write(_where_kept(session, logdir))
        except PipeprofError as problem:
            stderr.write(f"pipeprof: {problem}\n")
            return False
        return True

    def end_by_sigterm() -> None:
        if session is active():
            session.end_by_signal("SIGTERM")
            close_view()
            report()
            stderr.flush()

    end_on_sigterm(end_by_sigterm)
    with ExitStack() as finishing:

        def ended() -> None:
            finishing.enter_context(uninterrupted())
            finishing.enter_context(_without_collections())

        try:
            error = _record(program, session, ended)
        finally:
            close_view()
        code = exit_code(error)
        show_end(error)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        if not report():
            code = code or 2
    _end_as(error, code)


def _end_as(error: BaseException | None, code: int) -> NoReturn:
    if isinstance(error, KeyboardInterrupt):
        raise ScriptInterruptedError
    sys.exit(code)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keeps Python's collector of cycles from running inside the block.

    It would go through all objects of the frameworks, which takes as long as the report does.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _open_live_view(session: "Session", stream: TextIO) -> Callable[[], None]:
    """Shows the training's state on a terminal until what it returns is called."""
    from pipeprof.cli.live import EVERY_S, LiveView

    if not stream.isatty():
        stream.write("pipeprof: standard error is no terminal, so there is no live view.\n")
        return lambda: None
    view = LiveView(stream, lambda: session.folder)
    session.show_while_on(EVERY_S, view.show)
    return view.close


def _record(
    program: "Program", session: "Session", ended: Callable[[], None]
) -> BaseException | None:
    """Runs a program inside a profile, and returns the exception that ended it, if one did."""
    from pipeprof.cli.program import exit_code

    raised: BaseException | None = None
    try:
        with session:
            try:
                program.run()
            except BaseException as error:
                raised = error
                raise
            finally:
                ended()
                session.set_exit_code(exit_code(raised))
    except BaseException as error:
        if error is not raised:
            raise
    return raised


def _write_reports(
    session: "Session", stream: TextIO, json: Path | None, html: Path | None
) -> None:
    from pipeprof.cli.files import file_of, write_json, write_page
    from pipeprof.cli.screen import write_report

    stream.write("\n")
    write_report(session.findings, stream)
    rank = session.findings.profile.run.rank
    if json is not None:
        write_json(session.findings, file_of(rank, json))
    if html is not None:
        write_page(session.findings, file_of(rank, html))


def _where_kept(session: "Session", logdir: Path) -> str:
    from pipeprof.runs.shared_folder import rank_folder

    if session.folder is None:
        return ""
    folder = "" if logdir == DEFAULT_LOGDIR else f" {shlex.quote(str(logdir))}"
    rank = session.findings.profile.run.rank
    shared = rank is not None and rank_folder(session.folder, rank.number).is_dir()
    show = "Show all ranks" if shared else "Show it again"
    return (
        f"\n  Saved as {session.folder.name}. {show}: pipeprof report{folder}\n"
        f"  Show it in TensorBoard: pipeprof view{folder}\n"
    )
