"""The ranks of a training on one host, found by the environments of their processes."""

from pathlib import Path

from pipeprof.attach.peers import find_peers


def process(
    proc: Path,
    pid: int,
    rank: int | None,
    *,
    parent: int = 1,
    comm: str = "python",
    port: str | None = "1",
) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    environment: dict[str, str] = {}
    if rank is not None:
        environment = {"WORLD_SIZE": "4", "RANK": str(rank)}
    if rank is not None and port is not None:
        environment |= {"MASTER_ADDR": "a", "MASTER_PORT": port}
    packed = b"\0".join(f"{name}={value}".encode() for name, value in environment.items())
    (folder / "environ").write_bytes(packed)
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "stat").write_text(f"{pid} ({comm} (x)) S {parent} 1 1")


def test_the_ranks_of_a_training_are_found_with_one_process_each(tmp_path: Path):
    process(tmp_path, 10, None)
    process(tmp_path, 20, 1)
    process(tmp_path, 22, 1, parent=20)  # a worker process of rank 1
    process(tmp_path, 30, 0)
    process(tmp_path, 31, 0, comm="bash")
    process(tmp_path, 40, 2, port="2")  # another training
    (tmp_path / "self").mkdir()
    assert [(each.rank.number, each.pid) for each in find_peers(30, tmp_path)] == [(0, 30), (1, 20)]
    assert [each.pid for each in find_peers(40, tmp_path)] == [40]


def test_a_parent_with_a_greater_number_is_above_its_worker(tmp_path: Path):
    process(tmp_path, 30, 0)
    process(tmp_path, 22, 1, parent=90)
    process(tmp_path, 90, 1)
    assert [each.pid for each in find_peers(30, tmp_path)] == [30, 90]


def test_a_process_that_trains_alone_has_no_peers(tmp_path: Path):
    process(tmp_path, 10, None)
    process(tmp_path, 20, 1)
    assert find_peers(10, tmp_path) == ()
    assert find_peers(99, tmp_path) == ()


def test_ranks_that_could_be_of_any_training_are_not_taken_for_one(tmp_path: Path):
    for number in range(2):
        process(tmp_path, 10 + number, number, port=None)
    assert find_peers(10, tmp_path) == ()
