"""Settings: environment before file before default, and words for what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.problem import Refused
from hub.settings import load


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "officina.toml").write_text('port = 9000\nupload_limit = 5\nhosts = ["hub.example"]\n')
    monkeypatch.setenv("OFFICINA_PORT", "9001")
    found = load(tmp_path)
    assert (found.port, found.upload_limit, found.hosts) == (9001, 5, ("hub.example",))
    assert found.database_url == f"sqlite:///{tmp_path / 'officina.db'}"
    monkeypatch.setenv("OFFICINA_HOSTS", "a.example, b.example")
    assert load(tmp_path).hosts == ("a.example", "b.example")
    monkeypatch.setenv("OFFICINA_HOME", str(tmp_path / "elsewhere"))
    assert load().home == tmp_path / "elsewhere"


@pytest.mark.parametrize("text", ["port = 'no'", "port = 99999", "prot = 1", "port =", "home = '/tmp'\nports = []"])
def test_a_wrong_setting_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "officina.toml").write_text(text)
    with pytest.raises(Refused) as refused:
        load(tmp_path)
    assert all(p.where and p.expected for p in refused.value.problems)
