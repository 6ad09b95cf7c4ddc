"""What a hand-written loader does with photographs: read, decode, augment, batch.

Pillow and NumPy only, so that it may run in a forked worker process of a program that has loaded
TensorFlow. `photos_tfdata` does the same work with TensorFlow's operations.
"""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import pipeprof
from pipeprof.recording.light_dataclasses import dataclass

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]

BATCH = 16
SIDE = 96
EPOCHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSet:
    """Photographs in the order they are trained on, and what chance does to each.

    Both are drawn beforehand: all ways of feeding then deliver the same samples, and their speeds can be
    compared.

    Attributes:
        paths: the files.
        labels: the class of each; files of one folder are of one class.
        draws: for each four numbers from 0 to 255: crop from above, crop from the left, flip, brightness.
    """

    paths: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    draws: npt.NDArray[np.int32]

    @classmethod
    def of(cls, files: tuple[Path, ...]) -> "PhotoSet":
        """Shuffles files and draws what is done to each, the same for the same files."""
        random = np.random.default_rng(0)
        shuffled = [files[index] for index in random.permutation(len(files))]
        folders = sorted({file.parent for file in files})
        return cls(
            paths=tuple(str(file) for file in shuffled),
            labels=np.array([folders.index(file.parent) for file in shuffled], np.int32),
            draws=random.integers(0, 256, (len(files), 4), np.int32),
        )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1

    @property
    def batches(self) -> int:
        """How many batches they make; the last may be short."""
        return -(-len(self.paths) // BATCH)

    def batch(self, index: int) -> Batch:
        """The batch at a place."""
        chosen = range(len(self.paths))[index * BATCH : (index + 1) * BATCH]
        samples = [augment(decode(read(self.paths[one])), self.draws[one]) for one in chosen]
        return np.stack(samples), self.labels[chosen.start : chosen.stop]


@pipeprof.stage("read")
def read(path: str) -> bytes:
    """A file's content."""
    return Path(path).read_bytes()


@pipeprof.stage("decode")
def decode(content: bytes) -> Image.Image:
    """Its pixels."""
    return Image.open(io.BytesIO(content)).convert("RGB")


@pipeprof.stage("augment")
def augment(image: Image.Image, draw: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """A square part of it in `SIDE` pixels, perhaps flipped, brighter or darker; from 0 to 1."""
    from_top, from_left, flip, brightness = draw.tolist()
    side = min(image.size) * 4 // 5
    top = (image.height - side) * from_top // 256
    left = (image.width - side) * from_left // 256
    part = image.resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    pixels = np.asarray(part, np.float32)
    if flip >= 128:
        pixels = pixels[:, ::-1]
    gain = np.float32((384 + brightness) / (512 * 255))
    augmented: npt.NDArray[np.float32] = np.minimum(pixels * gain, np.float32(1))
    return augmented
