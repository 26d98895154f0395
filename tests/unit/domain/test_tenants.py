"""Tokens and their entries."""

from __future__ import annotations

import hashlib

import pytest

from flair_ray.domain.tenants import EVERYBODY, Tenant, holder, new_token, read_tenants, sharer
from flair_ray.errors import InputError

HASH = "ab" * 32


def test_a_token_is_known_by_its_entry_and_not_in_it() -> None:
    (token, entry), (other, _) = new_token("ada"), new_token("ada")
    assert token != other
    assert token not in entry
    tenants = read_tenants(entry)
    assert holder(token, tenants) == Tenant("ada", hashlib.sha256(token.encode()).hexdigest())
    assert holder(other, tenants) is None
    assert holder("", tenants) is None
    assert holder(tenants[0].digest, tenants) is None


def test_an_entry_may_carry_limits() -> None:
    ada, bob = read_tenants(f"ada:{HASH}:max_usd=12.5:starts=3 , bob:{HASH}:requests=9\n")
    assert (ada.max_usd, ada.starts, ada.requests) == (12.5, 3, EVERYBODY.requests)
    assert (bob.max_usd, bob.starts, bob.requests) == (None, EVERYBODY.starts, 9)
    assert read_tenants("") == ()


@pytest.mark.parametrize(
    "entry",
    [
        "ada",
        f"ada:{HASH[1:]}",
        f"ada:{HASH.upper()}",
        f"a/b:{HASH}",
        f":{HASH}",
        f"{'a' * 33}:{HASH}",
        f"ada:{HASH}:starts=1.5",
        f"ada:{HASH}:max_usd=1.2.3",
        f"ada:{HASH}:max_usd=-1",
        f"ada:{HASH}:colour=3",
        f"ada:{HASH}:max_usd",
        f"ada:{HASH}:name=3",
        f"ada:{HASH}:starts=",
    ],
)
def test_an_entry_that_is_none_is_refused_by_its_number(entry: str) -> None:
    with pytest.raises(InputError, match="entry 2") as refusal:
        read_tenants(f"bob:{HASH} {entry}")
    assert HASH[1:] not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a/b", "Ada", "-a", "a" * 33, "a b", "a:b", "ä", "a\n"])
def test_a_name_that_cannot_be_one(name: str) -> None:
    with pytest.raises(InputError, match="no name"):
        new_token(name)


def test_sessions_of_tenants_do_not_meet() -> None:
    ada, other = Tenant("ada"), Tenant("ada2")
    assert ada.shown(ada.session("x/y")) == "x/y"
    assert ada.owns(ada.session("x"))
    assert not ada.owns(other.session("x"))
    assert not ada.owns("ada")
    assert not other.owns(ada.session("2/x"))
    assert EVERYBODY.session("x") == "x"


def test_more_sessions_are_no_larger_share() -> None:
    ada, bob = Tenant("ada"), Tenant("bob")
    assert sharer(ada.session("x")) == sharer(ada.session("y/z")) != sharer(bob.session("x"))
    assert sharer(EVERYBODY.session("x")) != sharer(EVERYBODY.session("y"))
