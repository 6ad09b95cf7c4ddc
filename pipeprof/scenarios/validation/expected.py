"""What is known of a planted training before it runs: only what is certain; the rest it clocks itself."""

from pathlib import Path

from pipeprof.recording.light_dataclasses import dataclass

SCRIPTS = Path(__file__).with_name("scripts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A part of the time that the training clocked itself.

    Attributes:
        parts: of the account; their shares are added up.
        truth: keys of the truth, in seconds; they are added up too.
        whole: the key of the truth that both are a share of, in seconds.
        of_run: the account is the whole run's and not the main loop's.
    """

    parts: tuple[str, ...]
    truth: tuple[str, ...]
    whole: str = "loop_s"
    of_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCost:
    """A stage's own work per step.

    Attributes:
        stage: the name of the function that does it.
        truth: the key of the truth, in ms per step.
        copies: how many copies of the stage there are, where the report has to state it.
    """

    stage: str
    truth: str
    copies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Something of the user's that the report has to name.

    Attributes:
        name: its name, or the last part of it.
        function: where the report has to place it: a function or class of the script, with methods as
            `Class.method`; None where it is not the user's.
        part: the part of the account that has to name it; None: the diagnosis's `host`.
        of_run: the account is the whole run's and not the main loop's.
        truth: the key of the truth, in seconds, of the time that it took within the main loop.
    """

    name: str
    function: str | None = None
    part: str | None = None
    of_run: bool = False
    truth: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """Loops of one kind.

    Attributes:
        kind: as in the report.
        count: how many there are.
        steps: of each.
        epochs: of each, passes included.
    """

    kind: str
    count: int = 1
    steps: int | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochWaits:
    """Which epochs wait: `epochs[]` has their ratios.

    Attributes:
        first_over: what the first epoch waits at least, as a ratio.
        later_under: what each later one waits at the most.
    """

    first_over: float
    later_under: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A planted training and what has to be found in it. What is None or empty is not compared.

    Attributes:
        name: of the script, without its suffix.
        kind: of input or of loss.
        bound: those that are right.
        cause: those that are right.
        bottleneck: functions of the script, any of which may be named as the bottleneck; with methods as
            `Class.method`.
        bottleneck_kind: of the stage, where it is no function of the user's.
        bottleneck_line: text that stands in the line at which the bottleneck has to be placed, where a
            library made it.
        no_bottleneck: none must be named.
        shares: beyond those that the names of the truth's keys give (`account_checks.SHARES`).
        costs: of stages.
        named: what the report has to name.
        loops: that the report has to have.
        no_loops: kinds of loops that it must not have.
        epochs: which of them wait.
        advised: words, each of which has to stand in the advice.
        not_advised: words, none of which may stand there.
        remarked: words, each of which has to stand in the evidence or in a warning.
        held_up: whether the input holds up the training's computing.
        ceiling: whether the script can train with input for free (`--free-input`).
        arguments: of the script.
        environment: variables for it.
        quick: belongs to the tests.
    """

    name: str
    kind: str
    bound: tuple[str, ...]
    cause: tuple[str, ...] = ()
    bottleneck: tuple[str, ...] = ()
    bottleneck_kind: str | None = None
    bottleneck_line: str | None = None
    no_bottleneck: bool = False
    shares: tuple[Share, ...] = ()
    costs: tuple[ExpectedCost, ...] = ()
    named: tuple[Named, ...] = ()
    loops: tuple[Loops, ...] = ()
    no_loops: tuple[str, ...] = ()
    epochs: EpochWaits | None = None
    advised: tuple[str, ...] = ()
    not_advised: tuple[str, ...] = ()
    remarked: tuple[str, ...] = ()
    held_up: bool | None = None
    ceiling: bool = False
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    quick: bool = False

    @property
    def script(self) -> Path:
        """The path of the script."""
        return SCRIPTS / f"{self.name}.py"
