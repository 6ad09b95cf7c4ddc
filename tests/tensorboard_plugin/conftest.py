import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client, TestResponse

from pipeprof.tensorboard_plugin.plugin import InputPipelinePlugin


class Tab:
    """The tab's backend on a log folder, asked as a browser would."""

    def __init__(self, logdir: Path | str) -> None:
        self.plugin = InputPipelinePlugin(SimpleNamespace(logdir=str(logdir)))
        self._apps = self.plugin.get_plugin_apps()

    def get(self, path: str, *keys: str) -> TestResponse:
        query = urlencode([("run", key) for key in keys])
        return Client(self._apps[path]).get(f"{path}?{query}")

    def ask(self, path: str, *keys: str) -> Any:
        answer = self.get(path, *keys)
        assert answer.status_code == 200
        assert answer.content_type == "application/json"
        return json.loads(answer.get_data())


@pytest.fixture
def tab(tmp_path: Path) -> Tab:
    return Tab(tmp_path)
