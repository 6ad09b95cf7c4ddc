"""The demo's photographs: made once, from noise, as JPEG files in the user's cache folder.

They have what matters for the work of reading and decoding them: the spectrum of natural scenes, the
grain of a sensor, and four kinds of surface that a model can learn to distinguish. No network is needed.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeprof.errors import UsageError

Field = npt.NDArray[np.float32]

PHOTOS = 384
WIDTH, HEIGHT = 480, 360

# A new number whenever the photographs change, so that an older cache is not taken for the new one.
_FOLDER = "photos-1"
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def find_photos(
    folder: Path | None = None, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """The photographs of a folder, at most `PHOTOS`; of the cache folder, filled if need be, without one.

    Raises:
        UsageError: if the folder has none, or the cache folder cannot be written.
    """
    if folder is None:
        folder = cache_folder() / _FOLDER
        if not _photos_in(folder):
            _fill(folder, on_progress)
    photos = _photos_in(folder)
    if not photos:
        raise UsageError(
            f"Expected JPEG or PNG files in {folder} or its subfolders and found none."
        )
    return photos[:: -(-len(photos) // PHOTOS)]


def cache_folder() -> Path:
    """Where pipeprof keeps what it can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipeprof"


def _photos_in(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES))


def _fill(folder: Path, on_progress: Callable[[int, int], None] | None) -> None:
    # Made beside its place and moved there when complete: a demo that is interrupted leaves nothing
    # half done, and of two that run at once the first gives its photographs to both.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".photos-") as scratch:
            made = Path(scratch) / "photos"
            _make_photos(made, on_progress)
            try:
                made.rename(folder)
            except OSError:
                if not _photos_in(folder):
                    raise
    except OSError as error:
        raise UsageError(
            f"The demo's photographs cannot be written to {folder} ({error.strerror}): set "
            "XDG_CACHE_HOME to a folder that can be, or give photographs of your own with --data."
        ) from error


def _make_photos(folder: Path, on_progress: Callable[[int, int], None] | None) -> None:
    for number in range(PHOTOS):
        surface = sorted(SURFACES)[number % len(SURFACES)]
        path = folder / surface / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_photo(surface, seed=number)).save(path, quality=90)
        if on_progress is not None:
            on_progress(number + 1, PHOTOS)


def make_photo(surface: str, seed: int) -> npt.NDArray[np.uint8]:
    """One photograph of one of the `SURFACES`; ``(HEIGHT, WIDTH, 3)``."""
    random = np.random.default_rng(seed)
    pattern, dark, light = SURFACES[surface]
    shade = pattern(random)[..., None]
    colour = np.array(dark, np.float32) * (1 - shade) + np.array(light, np.float32) * shade
    grain = random.standard_normal((HEIGHT, WIDTH, 1), np.float32) * 5
    photo: npt.NDArray[np.uint8] = np.clip(colour + grain, 0, 255).astype(np.uint8)
    return photo


def _noise(random: np.random.Generator, falloff: float) -> Field:
    """Noise whose amplitude falls with frequency, from 0 to 1; natural scenes have a falloff of about 1."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = np.inf
    waves = random.standard_normal((*frequency.shape, 2), np.float32).view(np.complex64)[..., 0]
    noise = np.fft.irfft2(waves * frequency**-falloff, s=(HEIGHT, WIDTH))
    low, high = noise.min(), noise.max()
    scaled: Field = ((noise - low) / (high - low)).astype(np.float32)
    return scaled


def _clouds(random: np.random.Generator) -> Field:
    return _noise(random, 1.7)


def _moss(random: np.random.Generator) -> Field:
    return _noise(random, 0.8)


def _stone(random: np.random.Generator) -> Field:
    ridges: Field = np.sqrt(np.abs(_noise(random, 1.3) * 2 - 1))
    return ridges


def _wood(random: np.random.Generator) -> Field:
    rings: Field = np.linspace(0, 40, WIDTH, dtype=np.float32) + 12 * _noise(random, 1.8)
    grain: Field = np.sin(rings) / 2 + np.float32(0.5)
    return grain


Colour = tuple[int, int, int]

# A pattern from 0 to 1, and the colours at its ends.
SURFACES: Mapping[str, tuple[Callable[[np.random.Generator], Field], Colour, Colour]] = {
    "clouds": (_clouds, (70, 120, 190), (250, 250, 250)),
    "moss": (_moss, (20, 40, 10), (150, 190, 90)),
    "stone": (_stone, (60, 58, 55), (190, 185, 175)),
    "wood": (_wood, (90, 50, 20), (210, 160, 100)),
}
