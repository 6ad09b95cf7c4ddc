from pathlib import Path
from typing import Any

import pytest

import pipeprof
from pipeprof.recording.code_owner import (
    CodeOwner,
    is_pipeprofs_file,
    is_users_file,
    owner_of_module,
)


@pytest.mark.parametrize(
    ("module", "owner"),
    [
        ("keras", CodeOwner.KERAS),
        ("keras.src.trainers.trainer", CodeOwner.KERAS),
        ("tf_keras.src.engine.training", CodeOwner.KERAS),
        ("tensorflow.python.data.ops.dataset_ops", CodeOwner.TENSORFLOW),
        ("torch.utils.data.dataloader", CodeOwner.TORCH),
        ("grain._src.python.dataset.dataset", CodeOwner.GRAIN),
        ("pandas.core.frame", CodeOwner.PANDAS),
        ("pipeprof.capture.session", CodeOwner.PIPEPROF),
        ("builtins", CodeOwner.PYTHON),
        ("keras_cv.layers", CodeOwner.OTHER),
        ("tensorflow_datasets", CodeOwner.OTHER),
        ("__main__", CodeOwner.OTHER),
        ("", CodeOwner.OTHER),
        (None, CodeOwner.OTHER),
    ],
)
def test_modules_belong_to_the_package_that_they_are_in(module: Any, owner: CodeOwner) -> None:
    assert owner_of_module(module) is owner


PIPEPROF = Path(pipeprof.__file__).parent


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("/home/me/train.py", True),
        ("/home/me/pipeprof/train.py", True),
        ("/env/lib/python3.11/site-packages/keras/src/models/model.py", False),
        ("/usr/lib/python3/dist-packages/numpy/__init__.py", False),
        ("/usr/lib/python3.11/threading.py", False),
        ("<frozen importlib._bootstrap>", False),
        (f"{PIPEPROF}/capture/session.py", False),
        (f"{PIPEPROF}/scenarios/photos.py", True),
    ],
)
def test_files_of_packages_are_not_the_users(file: str, users: bool) -> None:
    assert is_users_file(file) is users


def test_files_of_pipeprof_are_known_by_their_folder() -> None:
    assert is_pipeprofs_file(f"{PIPEPROF}/clock.py")
    assert not is_pipeprofs_file(f"{PIPEPROF}_other/clock.py")
