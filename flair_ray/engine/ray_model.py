"""The local model on Ray: one detached actor holds the file, the provider in every worker asks it by name.

A file of gigabytes in each worker process would not fit, and llama.cpp batches only what reaches it in one place. The
actor is named with the version and the model, so that neither old code nor another file answers. It loads at the first
question and not before: a file that cannot be loaded is an answer then, and mended without a restart.

A call whose actor dies comes back as ConnectionLost, which the engine asks again; Ray restarts the actor, blank.
Whoever stops waiting cancels the call there too, and its slot is free at the next token. In a local Ray it ends with
that Ray, on a cluster with ``flair down``. Without Ray the file is loaded into this process.

Source: https://docs.ray.io/en/latest/ray-core/fault_tolerance/actors.html
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from flair_ray.domain.calls import Completion
from flair_ray.domain.ids import digest
from flair_ray.engine.naming import detached
from flair_ray.errors import ConnectionLost, InputError, ModelNotFound, ProviderError
from flair_ray.providers.local import Ask, LocalModel, Question, find_model


class ModelHost:
    """A LocalModel that is loaded when it is first asked: an actor's insides, or this process's own."""

    def __init__(self, model: str) -> None:
        self._name = model
        self._loaded: LocalModel | None = None

    async def ask(self, question: Question, timeout_s: float) -> Completion | ProviderError:
        try:
            self._loaded = self._loaded or LocalModel(find_model(self._name))
        except InputError as err:
            return ModelNotFound(str(err))
        return await self._loaded.answer(question, timeout_s)

    @ray.method(max_task_retries=-1)  # type: ignore[untyped-decorator]
    async def ready(self) -> None:
        """Ray holds this back while the actor restarts. A call would be refused, one attempt after another."""


class _Actor:
    """The way to the actor, which is started where it is missing."""

    def __init__(self, model: str, version: str) -> None:
        self._model, self._version = model, version
        self._handle: Any = None

    async def ask(self, question: Question, timeout_s: float) -> Completion | ProviderError:
        ref: Any = None
        try:
            self._handle = self._handle or detached(
                ModelHost, model_actor_name(self._model, self._version), 1000, self._model
            )
            ref = self._handle.ask.remote(question, timeout_s)
            answered: Completion | ProviderError = await ref
        except RayTaskError:
            raise  # a bug of ours
        except RayError as err:
            if self._handle is not None:
                with suppress(RayError):
                    await self._handle.ready.remote()
            self._handle = None  # it may be gone for good, as after `flair down`
            return ConnectionLost(f"The process with the local model is not there ({type(err).__name__}).")
        finally:
            if ref is not None:  # a wait that is given up does not end the call; an ended one is not touched
                with suppress(RayError, ValueError, TypeError):
                    ray.cancel(ref)
        return answered


def asker(model: str, version: str) -> Ask:
    """How this process asks the model: through the cluster it is connected to, else by loading it itself."""
    return _Actor(model, version).ask if ray.is_initialized() else ModelHost(model).ask


def model_actor_name(model: str, version: str) -> str:
    return f"local-model-{digest(model)}-{version}"
