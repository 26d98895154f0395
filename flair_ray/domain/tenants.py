"""Who may use the studio over HTTP: tokens, each with its tenant and what that tenant may take.

A token is 256 random bits, so a plain SHA-256 of it can be kept where anybody may read it. An entry of
``FLAIR_API_TOKENS`` is ``NAME:SHA256`` and, for limits of its own, ``:requests=600:starts=30:streams=9:max_usd=50``,
in any order; entries are separated by commas or white space. Two entries of one name are one tenant with two tokens.

A tenant's sessions are called ``NAME/SESSION`` inside, and names have no slash: whose a run is stands in its session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from flair_ray.errors import InputError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ENTRY = re.compile(rf"({_NAME.pattern}):([0-9a-f]{{64}})((?::[a-z_]+=[0-9.]+)*)")
_LIMITS = {"requests": int, "starts": int, "streams": int, "max_usd": float}


@dataclass(frozen=True, slots=True)
class Tenant:
    """Somebody with a token; without a name: everybody, where there are no tokens."""

    name: str = ""
    digest: str = ""
    """SHA-256 of the token."""
    requests: int = 600
    """A minute."""
    starts: int = 30
    """Runs and videos begun, a minute."""
    streams: int = 1_000
    """Open at once, of one replica."""
    max_usd: float | None = None
    """What all runs begun in one month (UTC) may cost."""

    @property
    def prefix(self) -> str:
        """Of what is this tenant's, among what is everybody's."""
        return f"{self.name}/" if self.name else ""

    def session(self, asked: str) -> str:
        """The session inside that a client calls ``asked``."""
        return self.prefix + asked

    def owns(self, session_id: str) -> bool:
        return session_id.startswith(self.prefix)

    def shown(self, session_id: str) -> str:
        """A session as its client calls it."""
        return session_id.removeprefix(self.prefix)


EVERYBODY = Tenant()


def sharer(session_id: str) -> str:
    """Who gets one fair share of an account: a tenant, with however many sessions, or a session of nobody's."""
    return session_id.partition("/")[0]


def new_token(name: str) -> tuple[str, str]:
    """A random token and its entry. Raises InputError for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a tenant: use up to 32 of a-z, 0-9, _ and -, a letter or digit first."
        )
    token = f"flair_{secrets.token_urlsafe(32)}"
    return token, f"{name}:{_digest(token)}"


def read_tenants(text: str) -> tuple[Tenant, ...]:
    """The entries of ``FLAIR_API_TOKENS``. Raises InputError; its message does not repeat the entry."""
    return tuple(_tenant(number, entry) for number, entry in enumerate(text.replace(",", " ").split(), start=1))


def holder(token: str, tenants: Iterable[Tenant]) -> Tenant | None:
    """Whose token this is. It is compared with every entry, in a time that does not depend on what is in them."""
    digest, found = _digest(token), None
    for tenant in tenants:
        if hmac.compare_digest(digest, tenant.digest):
            found = tenant
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _tenant(number: int, entry: str) -> Tenant:
    match = _ENTRY.fullmatch(entry)
    try:
        if match is None:
            raise ValueError
        limits = dict(part.split("=") for part in match[3].split(":") if part)
        values = {name: _LIMITS[name](value) for name, value in limits.items()}
    except (KeyError, ValueError):
        raise InputError(
            f"FLAIR_API_TOKENS cannot be used: its entry {number} is not NAME:SHA256, with any of "
            f"{', '.join(f':{name}=NUMBER' for name in _LIMITS)} behind it. `flair token NAME` prints one."
        ) from None
    return replace(Tenant(match[1], match[2]), **values)
