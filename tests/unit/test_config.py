"""Settings: where each value comes from, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dashapp import config
from dashapp.config import Settings, environment_name, load, secret
from dashapp.errors import BadSetting


def test_without_file_environment_and_options_the_defaults_hold(tmp_path: Path) -> None:
    assert load(environ={}, directory=tmp_path) == Settings()


def test_file_beats_default_environment_beats_file_option_beats_environment(tmp_path: Path) -> None:
    (tmp_path / "tickertone.toml").write_text('host = "file"\nport = 1001\nlog_level = "error"\n')
    environ = {"TICKERTONE_PORT": "1002", "TICKERTONE_LOG_LEVEL": "warning"}
    settings = load({"log_level": "debug", "host": None}, environ=environ, directory=tmp_path)
    assert (settings.host, settings.port, settings.log_level) == ("file", 1002, "debug")
    assert settings.cache_size_bytes == Settings().cache_size_bytes


def test_the_settings_file_can_be_named(tmp_path: Path) -> None:
    named = tmp_path / "elsewhere.toml"
    named.write_text("demo_seed = 11\n")
    assert load(environ={"TICKERTONE_CONFIG": str(named)}, directory=tmp_path / "nowhere").demo_seed == 11


def test_a_named_settings_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"TICKERTONE_CONFIG names '.*missing\.toml', which does not exist"):
        load(environ={"TICKERTONE_CONFIG": str(tmp_path / "missing.toml")}, directory=tmp_path)


def test_a_file_that_is_not_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "tickertone.toml").write_text("port 8050")
    with pytest.raises(BadSetting, match=r"tickertone\.toml cannot be read as TOML"):
        load(environ={}, directory=tmp_path)


def test_an_unknown_setting_in_the_file_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "tickertone.toml").write_text("prot = 8050\n")
    with pytest.raises(BadSetting, match=r"tickertone\.toml: setting 'prot' does not exist\. Settings: .*\bport\b"):
        load(environ={}, directory=tmp_path)


def test_a_foreign_environment_variable_is_none_of_our_business(tmp_path: Path) -> None:
    environ = {"PORT": "1", "TICKERTONE_API_KEY": "k", "TICKERTONE_CHROMIUM": "/opt/chromium"}
    assert load(environ=environ, directory=tmp_path) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("port", "http", "which is not a valid whole number"),
        ("port", "80.5", "which is not a valid whole number"),
        ("port", 80.5, "which is not a valid whole number"),
        ("port", True, "which is not a valid whole number"),
        ("port", "", "which is not a valid whole number"),
        ("port", [8050], "which is not a valid whole number"),
        ("port", "-1", "it must be from 0 to 65535 port"),
        ("port", 65_536, "it must be from 0 to 65535 port"),
        ("duckdb_memory_bytes", "4GB", "which is not a valid whole number"),
        ("duckdb_memory_bytes", 1, "it must be at least 100000000 bytes"),
        ("rollup_every_s", "soon", "which is not a valid number"),
        ("rollup_every_s", "nan", r"it must be from 0\.1 to 86400 s"),
        ("rollup_every_s", "inf", r"it must be from 0\.1 to 86400 s"),
        ("rollup_every_s", 10**400, "which is not a valid number"),
        ("host", 127, "which is not a valid text"),
        ("host", ["127.0.0.1"], "which is not a valid text"),
        ("log_level", "loud", "it must be one of: debug, info, warning, error"),
        ("data_dir", "", "which is not a valid path"),
        ("data_dir", True, "which is not a valid path"),
        ("base_path", "sentiment", "it must be empty or a path such as /sentiment"),
        ("base_path", "/sentiment/", "it must be empty or a path such as /sentiment"),
        ("base_path", "/a/../b", "it must be empty or a path such as /sentiment"),
        ("base_path", "/api", "not one of the server's own"),
        ("base_path", "/assets/x", "not one of the server's own"),
        ("base_path", "/_dash", "it must be empty or a path such as /sentiment"),
        ("base_path", '/a"b', "it must be empty or a path such as /sentiment"),
    ],
)
def test_a_value_a_setting_cannot_have_is_refused_naming_key_value_and_place(
    name: str, value: Any, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match=complaint) as refused:
        load({name: value}, environ={}, directory=tmp_path)
    assert f"option: setting {name} has value {value!r}" in str(refused.value)


def test_a_bad_value_in_the_environment_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="environment: setting port has value 'x'"):
        load(environ={"TICKERTONE_PORT": "x"}, directory=tmp_path)


def test_a_whole_number_will_do_where_a_fraction_is_allowed(tmp_path: Path) -> None:
    assert load({"rollup_every_s": 5}, environ={}, directory=tmp_path).rollup_every_s == 5.0


def test_a_home_directory_is_expanded(tmp_path: Path) -> None:
    assert load({"data_dir": "~/store"}, environ={}, directory=tmp_path).data_dir == Path.home() / "store"


def test_every_default_is_a_value_the_setting_can_have(tmp_path: Path) -> None:
    assert load({item.name: item.default for item in fields(Settings)}, environ={}, directory=tmp_path) == Settings()


def test_every_setting_with_a_number_carries_its_unit_in_its_metadata() -> None:
    assert [item.name for item in fields(Settings) if not item.metadata["unit"] or not item.metadata["help"]] == []


def test_the_environment_variable_is_the_name_in_capitals() -> None:
    assert environment_name("data_dir") == "TICKERTONE_DATA_DIR"


def test_a_secret_comes_from_the_environment_and_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKERTONE_TIINGO_KEY", "s3cret")
    monkeypatch.setenv("TICKERTONE_FINNHUB_KEY", "")
    assert secret("TIINGO_KEY") == "s3cret"
    assert secret("FINNHUB_KEY") is None
    assert secret("ALPHAVANTAGE_KEY") is None


def test_no_secret_is_a_setting() -> None:
    assert not [item.name for item in fields(config.Settings) if "key" in item.name or "token" in item.name]
