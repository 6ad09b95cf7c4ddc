import os
import sys
from collections.abc import Iterator

import pytest

from pipeprof.capture.probes.loops.switch_interval import ShortSwitches


@pytest.fixture
def users() -> Iterator[float]:
    """The user's own interval."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def shortened() -> ShortSwitches:
    switches = ShortSwitches()
    for _ in range(4):
        switches.met([True, True])
    return switches


def test_it_is_short_only_once_the_others_were_at_rest_again_and_again(users: float) -> None:
    switches = ShortSwitches()
    for others in ([True], [True], [True, False], [True], [True], [True]):
        switches.met(others)
        assert sys.getswitchinterval() == users
    switches.met([])
    assert sys.getswitchinterval() < users / 10
    switches.met([False])
    assert sys.getswitchinterval() == users


def test_the_users_interval_stands_again_at_the_end(users: float) -> None:
    switches = shortened()
    switches.end()
    switches.end()
    assert sys.getswitchinterval() == users


def test_an_interval_that_the_user_sets_meanwhile_stays(users: float) -> None:
    switches = shortened()
    sys.setswitchinterval(0.05)
    switches.end()
    assert sys.getswitchinterval() == pytest.approx(0.05)


def test_a_shorter_one_of_the_users_stays(users: float) -> None:
    sys.setswitchinterval(0.000_1)
    switches = shortened()
    assert sys.getswitchinterval() == pytest.approx(0.000_1)
    switches.end()


def test_a_forked_process_has_the_users_interval(users: float) -> None:
    switches = shortened()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, str(sys.getswitchinterval()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    switches.end()
    assert float(os.read(read, 100)) == users
    os.close(read)
    os.close(write)
