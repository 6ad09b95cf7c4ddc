import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeprof.scenarios.photos import BATCH, SIDE, PhotoSet, augment, decode


def save(path: Path, red: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (120, 100), (red, 0, 0)).save(path, quality=100)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    return tuple(
        save(tmp_path / ("dark" if red < 100 else "light") / f"{red:03}.jpg", red)
        for red in range(0, 200, 10)
    )


def test_files_of_one_folder_are_of_one_class(files: tuple[Path, ...]) -> None:
    photos = PhotoSet.of(files)
    assert photos.classes == 2
    folders = [Path(path).parent.name for path in photos.paths]
    assert photos.labels.tolist() == [["dark", "light"].index(folder) for folder in folders]


def test_order_and_chance_are_the_same_for_the_same_files(files: tuple[Path, ...]) -> None:
    photos, again = PhotoSet.of(files), PhotoSet.of(files)
    assert photos.paths == again.paths != tuple(map(str, files))
    assert sorted(photos.paths) == sorted(map(str, files))
    assert np.array_equal(photos.draws, again.draws)


def test_batches_hold_each_photo_once_and_the_last_may_be_short(files: tuple[Path, ...]) -> None:
    photos = PhotoSet.of(files)
    assert photos.batches == 2
    (x, y), (last_x, last_y) = photos.batch(0), photos.batch(1)
    assert (x.shape, x.dtype) == ((BATCH, SIDE, SIDE, 3), np.float32)
    assert last_x.shape == (20 - BATCH, SIDE, SIDE, 3)
    assert np.array_equal(np.concatenate([y, last_y]), photos.labels)
    brightness = photos.draws[:, 3]
    reds = np.array([int(Path(path).stem) for path in photos.paths])
    seen = np.concatenate([x, last_x]).mean(axis=(1, 2))[:, 0]
    assert seen == pytest.approx(reds / 255 * (384 + brightness) / 512, abs=0.01)


def test_a_grey_picture_has_three_colours_too() -> None:
    content = io.BytesIO()
    Image.new("L", (10, 10), 80).save(content, "PNG")
    assert decode(content.getvalue()).getpixel((0, 0)) == (80, 80, 80)


def gradient() -> Image.Image:
    row = np.linspace(0, 200, 120, dtype=np.uint8)
    return Image.fromarray(np.repeat(np.tile(row, (100, 1))[..., None], 3, axis=2))


def draw(top: int = 0, left: int = 0, flip: int = 0, brightness: int = 128) -> np.ndarray:
    return np.array([top, left, flip, brightness], np.int32)


def test_a_flip_mirrors_left_and_right() -> None:
    straight = augment(gradient(), draw())
    assert np.array_equal(augment(gradient(), draw(flip=200)), straight[:, ::-1])
    assert straight[0, 0, 0] < straight[0, -1, 0]


def test_a_crop_further_right_is_lighter_where_the_picture_is() -> None:
    assert augment(gradient(), draw(left=255)).mean() > augment(gradient(), draw(left=0)).mean()


def test_no_brightness_exceeds_white() -> None:
    white = Image.new("RGB", (50, 50), (255, 255, 255))
    assert augment(white, draw(brightness=255)).max() == 1
    assert augment(white, draw(brightness=0)).max() == pytest.approx(0.75)
