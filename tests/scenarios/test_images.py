from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeprof.errors import UsageError
from pipeprof.scenarios import images
from pipeprof.scenarios.images import SURFACES, find_photos, make_photo


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "PHOTOS", 8)
    return tmp_path / "cache" / "pipeprof"


def test_photos_are_made_in_the_cache_folder_one_subfolder_for_each_surface(cache: Path) -> None:
    photos = find_photos()
    assert len(photos) == 8
    assert {photo.parent.parent.parent for photo in photos} == {cache}
    assert {photo.parent.name for photo in photos} == set(SURFACES)
    with Image.open(photos[0]) as photo:
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (480, 360))


def test_photos_are_made_only_once() -> None:
    made: list[tuple[int, int]] = []
    first = find_photos(on_progress=lambda *counts: made.append(counts))
    assert made == [(number, 8) for number in range(1, 9)]
    assert find_photos(on_progress=lambda *counts: pytest.fail("made again")) == first


def test_a_demo_that_is_interrupted_leaves_nothing_half_done(cache: Path) -> None:
    def interrupt(made: int, total: int) -> None:
        if made == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_photos(on_progress=interrupt)
    assert list(cache.iterdir()) == []
    assert len(find_photos()) == 8


def test_of_two_demos_at_once_the_first_serves_both(cache: Path) -> None:
    other: list[tuple[Path, ...]] = []

    def run_another(made: int, total: int) -> None:
        if made == 3:
            other.append(find_photos())

    assert find_photos(on_progress=run_another) == other[0]
    assert len(list(cache.iterdir())) == 1


def test_a_cache_folder_that_cannot_be_written_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(UsageError, match=r"cannot be written .* set XDG_CACHE_HOME"):
        find_photos()


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_photos_is_reported_in_one_sentence(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "holiday"
    if exists:
        folder.mkdir()
        (folder / "notes.txt").write_text("no photo")
    with pytest.raises(UsageError, match=r"Expected JPEG or PNG files in .*holiday"):
        find_photos(folder)


def test_ones_own_photos_are_taken_from_all_of_a_large_folder(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.PNG").touch()
    names = [photo.name for photo in find_photos(tmp_path)]
    assert names == ["00.PNG", "03.PNG", "06.PNG", "09.PNG", "12.PNG", "15.PNG", "18.PNG"]


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_a_photo_depends_on_its_seed_alone(surface: str) -> None:
    photo = make_photo(surface, seed=1)
    assert np.array_equal(photo, make_photo(surface, seed=1))
    assert not np.array_equal(photo, make_photo(surface, seed=2))
    assert photo.std() > 10
