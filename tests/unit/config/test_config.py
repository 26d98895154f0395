"""Settings and accounts: what people export, read once, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flair_ray.config import KEY_NAMES, LOCAL_SLOTS, Settings, load_account, load_settings
from flair_ray.errors import InputError


def test_a_variable_has_the_prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAIR_MAX_ATTEMPTS", "3")
    monkeypatch.setenv("FLAIR_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAX_SCRIPTS", "1")
    settings = load_settings()
    assert (settings.max_attempts, settings.data_dir, settings.max_scripts) == (3, tmp_path, 200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLAIR_MAX_ATTEMPTS", "many"),
        ("FLAIR_MAX_ATTEMPTS", "0"),
        ("FLAIR_RUN_TTL_S", "-1"),
        ("FLAIR_LEASE_TTL_S", "nan"),
        ("FLAIR_STAGE_FAILURE_SHARE", "1.5"),
        ("FLAIR_MAX_VIDEOS", ""),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"^{name} cannot be used: "):
        load_settings()


def test_a_bad_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a password in the wrong place."""
    monkeypatch.setenv("FLAIR_MAX_ATTEMPTS", "hunter2")
    with pytest.raises(InputError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_secrets_do_not_show() -> None:
    settings = Settings(redis_url="redis://:hunter2@host:6379")
    account = load_account("openai", {"OPENAI_API_KEY": "sk-hunter2"})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()} {account!r}"
    assert account.api_key is not None
    assert account.api_key.get_secret_value() == "sk-hunter2"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().max_attempts = 9  # type: ignore[misc]  # that is the point


def test_data_lives_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data_dir == tmp_path / "flair_ray"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert Settings().data_dir.parts[-3:] == (".local", "share", "flair_ray")


@pytest.mark.parametrize("provider", KEY_NAMES)
def test_keys_have_the_names_people_export(provider: str) -> None:
    for name in KEY_NAMES[provider]:
        account = load_account(provider, {name: "key"})
        assert account.api_key is not None


def test_our_own_name_goes_before_the_common_one() -> None:
    account = load_account("openai", {"FLAIR_OPENAI_API_KEY": "ours", "OPENAI_API_KEY": "theirs"})
    assert account.api_key is not None
    assert account.api_key.get_secret_value() == "ours"


def test_nothing_exported_is_nothing_known() -> None:
    account = load_account("openai", {"OPENAI_API_KEY": "", "FLAIR_OPENAI_RPM": ""})
    assert (account.api_key, account.rpm, account.base_url, account.model) == (None, None, None, None)


def test_an_accounts_limits_and_place() -> None:
    names = {"BASE_URL": "http://x/v1", "MODEL": "m", "MAX_IN_FLIGHT": "3", "RPM": "60", "TPM": "9000"}
    account = load_account("kimi", {f"FLAIR_KIMI_{name}": value for name, value in names.items()})
    assert (account.base_url, account.model) == ("http://x/v1", "m")
    assert (account.max_in_flight, account.rpm, account.tpm) == (3, 60, 9000)


@pytest.mark.parametrize("value", ["0", "-5", "ten", "1.5", "1e3"])
def test_a_limit_that_is_no_count_names_its_variable(value: str) -> None:
    with pytest.raises(InputError, match="FLAIR_OPENAI_RPM must be a whole number above 0"):
        load_account("openai", {"FLAIR_OPENAI_RPM": value})


def test_a_local_model_has_a_limit_unless_told_otherwise() -> None:
    assert load_account("local", {}).max_in_flight == LOCAL_SLOTS
    assert load_account("local", {"FLAIR_LOCAL_MAX_IN_FLIGHT": "1"}).max_in_flight == 1
    assert load_account("local", {"FLAIR_LOCAL_MODEL": "/a/b.gguf"}).model == "/a/b.gguf"
    assert load_account("kimi", {}).max_in_flight is None
