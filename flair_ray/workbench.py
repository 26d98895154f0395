"""What one worker process works with: a client per model, a desk per account, one Redis pool. Built in it.

Together with ``wiring`` the only place where concrete adapters are chosen; this half runs on workers, from values that
travelled there pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from flair_ray.config import OFFLINE, OWN, Account, Settings, known_secrets, load_account
from flair_ray.domain.ids import digest
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.domain.tenants import sharer
from flair_ray.engine.asking import Patience
from flair_ray.engine.naming import service_name
from flair_ray.engine.plan import NOTHING_OWN, Own
from flair_ray.engine.ray_executor import on_ray
from flair_ray.engine.ray_limiter import LIMITER_GONE, RedisAccounts, limiter_exchange, own_exchange
from flair_ray.engine.ray_personas import PersonasIn, open_panel
from flair_ray.engine.shard import Tools
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.flow.permits import Exchange, PermitDesk
from flair_ray.ports import Budget, Limiter, Provider, StageJob
from flair_ray.providers.local import Local, find_model
from flair_ray.stores.budget import RedisBudget
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.permits import PERMIT_LEASE_S
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.telemetry import logs, spans

OFFLINE_IN_FLIGHT = 29
"""No server has to be spared; more at once would only hold more prompts in memory."""

Accounts = Mapping[str, Account]


async def worker_tools(settings: Settings, redis_url: str, accounts: Accounts, own: Own = NOTHING_OWN) -> Tools:
    """What one worker process needs. ``accounts`` that are not given are those of its environment."""
    keys = [account.api_key.get_secret_value() for account in accounts.values() if account.api_key]
    watch(settings, keys)
    return _Workbench(settings, redis_url, accounts).tools(own)


def watch(settings: Settings, secrets: Sequence[str] = ()) -> None:
    """Logs and spans of this process, as the settings say. Raises InputError for spans without their extra."""
    logs.set_up(settings.log_level, settings.log_format, (*known_secrets(settings), *secrets))
    spans.set_up(settings.otlp_endpoint)


class _Workbench:
    def __init__(self, settings: Settings, redis_url: str, accounts: Accounts) -> None:
        self._settings, self._redis_url, self._accounts = settings, redis_url, accounts
        self._redis = connect(redis_url)
        self._service = service_name(redis_url)
        self._flights = RedisFlights(self._redis, Ears(listener(redis_url)))
        self._store = RedisRunStore(self._redis, settings.run_ttl_s, settings.cache_ttl_s)
        self._desks: dict[object, PermitDesk] = {}

    def tools(self, own: Own) -> Tools:
        settings = self._settings

        @cache
        def provider_for(model: ModelChoice) -> Provider:
            if own.provider and model.provider == OWN:
                return own.provider
            return make_provider(model, self._account(model))

        return Tools(
            provider_for=provider_for,
            stages=own.all_stages(),
            store=self._store,
            patience=Patience(settings.call_timeout_s, settings.item_deadline_s, settings.max_attempts),
            clock=SystemClock(),
            flights=self._flights,
            limiter_for=self._limiter,
            budget_for=self._budget,
            panel=open_panel(
                PersonasIn(self._redis_url, settings.run_ttl_s, settings.persona_pools), self._service, self._redis
            ),
            close=self._close,
        )

    def _account(self, model: ModelChoice) -> Account:
        return self._accounts.get(model.provider) or load_account(model.provider)

    def _limiter(self, job: StageJob) -> Limiter:
        if job.model.provider == OFFLINE:
            return InFlightLimiter(OFFLINE_IN_FLIGHT)
        account = account_id(job.model, self._account(job.model))
        desk = self._desks.get((account, job.limits))
        if desk is None:
            desk = self._desks[account, job.limits] = PermitDesk(
                self._way(account, job.limits), LIMITER_GONE, PERMIT_LEASE_S, SystemClock()
            )
        return desk.limiter(job.run_id, sharer(job.session_id))

    def _way(self, account: str, limits: Limits) -> Exchange:
        if not on_ray():
            return own_exchange(self._redis, account, limits)
        return limiter_exchange(RedisAccounts(self._redis_url), self._service, account, limits)

    def _budget(self, job: StageJob) -> Budget | None:
        if job.purse is None:
            return None
        return RedisBudget(self._redis, job.run_id, job.stage, job.purse, self._settings.run_ttl_s)

    async def _close(self) -> None:
        for desk in self._desks.values():
            await desk.close()
        await self._flights.close()
        await self._store.close()


def account_id(model: ModelChoice, account: Account) -> str:
    """Who is billed and limited: one key at one server, whatever model it asks. The key does not show in it."""
    key = account.api_key.get_secret_value() if account.api_key else ""
    return f"{model.provider}-{digest(model.provider, model.base_url or '', key, length=32)}"


def payer(model: ModelChoice) -> str | None:
    """The account of this environment that a model's calls are billed and limited by; None where nobody counts."""
    return None if model.provider == OFFLINE else account_id(model, load_account(model.provider))


def make_provider(model: ModelChoice, account: Account) -> Provider:
    """The adapter for one model. Imports its SDK here, so that nobody pays for one they do not use."""
    match model.provider:
        case "offline":
            from flair_ray.providers.offline import OfflineProvider

            return OfflineProvider()
        case "gemini":
            from flair_ray.providers.gemini import Gemini

            return Gemini(model.model, account.api_key, model.base_url)
        case "local":
            from flair_ray import __version__
            from flair_ray.engine.ray_model import asker

            return Local(asker(model.model, __version__), find_model(model.model))
        case "kimi":
            from flair_ray.providers.kimi import Kimi

            return Kimi(model.model, account.api_key, model.base_url)
        case _:
            from flair_ray.providers.openai_compatible import COMPATIBLE, OpenAICompatible, openai_dialect

            dialect = COMPATIBLE if model.base_url else openai_dialect(model.model)
            return OpenAICompatible(model.provider, model.model, account.api_key, model.base_url, dialect)
