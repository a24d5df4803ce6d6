"""`aforo edge`: access checks from a small server beside a gateway."""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from aforo.edge.options import PREFIX, Misconfigured, Options
from catalog.aliases import key_of


def edge(
    *,
    redis_url: Annotated[
        str, typer.Option(help="The installation's Redis or a replica of it.", envvar="REDIS_URL")
    ] = "",
    host: Annotated[str, typer.Option(help="Where HTTP answers.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where HTTP answers.", max=65535)] = 8010,
    threads: Annotated[int, typer.Option(help="Answers at one time.", min=1, max=64)] = 4,
    fresh_seconds: Annotated[
        float, typer.Option(help="What was read is used so long without asking.", min=0)
    ] = 1.0,
    stale_seconds: Annotated[
        float, typer.Option(help="And so long while Redis is away.", min=0)
    ] = 900.0,
    keys_of: Annotated[str, typer.Option(help="The tenant whose keys open, and no others.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose customers call, without keys of ours.")] = "",
    internal: Annotated[
        bool, typer.Option("--internal", help="Answer without a key; nobody else may reach it.")
    ] = False,
    customer_header: Annotated[
        str, typer.Option(help="Names the customer, where the key does not.")
    ] = "X-Aforo-Customer",
    feature_header: Annotated[str, typer.Option(help="Else X-Aforo-Feature names it.")] = "",
    metric_header: Annotated[str, typer.Option(help="Else X-Aforo-Metric names it.")] = "",
    feature: Annotated[str, typer.Option(help="Of all calls, without a header.")] = "",
    metric: Annotated[str, typer.Option(help="Of all calls, without a header.")] = "",
    support_url: Annotated[str, typer.Option(help="In refusals.")] = "/portal/support",
) -> None:
    """Answer access checks and ext_authz beside a gateway, from Redis alone, until Ctrl-C."""
    told = {
        "REDIS_URL": redis_url,
        "FRESH_SECONDS": str(fresh_seconds),
        "STALE_SECONDS": str(stale_seconds),
        "KEYS_OF": keys_of,
        "TENANT": tenant,
        "INTERNAL": "true" if internal else "",
        "CUSTOMER_HEADER": customer_header,
        "FEATURE_HEADER": feature_header,
        "METRIC_HEADER": metric_header,
        "FEATURE": feature,
        "METRIC": metric,
        "SUPPORT_URL": support_url,
    }
    environment = dict(os.environ) | {PREFIX + name: value for name, value in told.items()}
    try:
        Options.read(environment)
    except Misconfigured as error:
        sys.exit(f"aforo: {error}")
    _become_a_server(environment, host=host, port=port, threads=threads)


def edge_key() -> None:
    """Print what an edge needs to know customers by other names, made of SECRET_KEY."""
    secret = os.environ.get("SECRET_KEY", "")
    if not secret:
        sys.exit("aforo: SECRET_KEY is not set: ask where the installation runs")
    Console().print(key_of(secret).hex(), highlight=False, soft_wrap=True)


def _become_a_server(environment: dict[str, str], *, host: str, port: int, threads: int) -> None:
    """In place of this process, whose own imports would stay in memory."""
    words = [
        *(sys.executable, "-P", "-m", "granian", "aforo.edge.wsgi:application"),
        *("--interface", "wsgi", "--no-ws", "--host", host, "--port", str(port)),
        *("--workers", "1", "--blocking-threads", str(threads), "--respawn-failed-workers"),
    ]
    os.execve(sys.executable, words, environment)  # noqa: S606  no shell is wanted
