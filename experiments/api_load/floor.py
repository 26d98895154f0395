"""The floor: a bare Starlette app on uvicorn that writes to Redis once per request and does nothing else."""

from __future__ import annotations

import os
import uuid

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

REDIS = Redis.from_url(os.environ["FLOOR_REDIS_URL"])


async def write(request: Request) -> JSONResponse:
    run_id = str(uuid.uuid4())
    await REDIS.set(run_id, await request.body(), ex=600)
    return JSONResponse({"run_id": run_id})


app = Starlette(routes=[Route("/{path:path}", write, methods=["GET", "POST"])])
