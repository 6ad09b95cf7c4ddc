import json
from collections.abc import Sequence
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

    def get(
        self, path: str, *values: str, name: str = "run", after: Sequence[str] = ()
    ) -> TestResponse:
        query = urlencode(
            [*((name, value) for value in values), *(("after", key) for key in after)]
        )
        return Client(self._apps[path]).get(f"{path}?{query}")

    def ask(self, path: str, *keys: str) -> Any:
        return self._value_of(self.get(path, *keys))

    def ask_groups(self, before: Sequence[str], after: Sequence[str]) -> Any:
        return self._value_of(self.get("/comparison", *before, after=after))

    def ask_where(self, path: str, *conditions: str) -> Any:
        return self._value_of(self.get(path, *conditions, name="where"))

    def ask_rank(self, path: str, key: str, rank: str) -> Any:
        query = urlencode({"run": key, "rank": rank})
        return self._value_of(Client(self._apps[path]).get(f"{path}?{query}"))

    def _value_of(self, answer: TestResponse) -> Any:
        assert answer.status_code == 200
        assert answer.content_type == "application/json"
        return json.loads(answer.get_data())


@pytest.fixture
def tab(tmp_path: Path) -> Tab:
    return Tab(tmp_path)
