"""Drain the inbox here and now, as a worker would, and say what it took."""

import json
import sys
import time
from argparse import ArgumentParser
from functools import partial

from django.core.management.base import BaseCommand
from django.utils import timezone

from metering.ingest.drain import EVENTS_PER_DRAIN
from metering.services.ingest import drain_once


class Command(BaseCommand):
    help = "Drain the inbox once, or until nothing waits, and print events and seconds as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-empty", action="store_true", help="drain until nothing waits")
        parser.add_argument("--shard", type=int, default=0)
        parser.add_argument("--shards", type=int, default=1, help="how many drains share the inbox")
        parser.add_argument(
            "--limit", type=int, default=EVENTS_PER_DRAIN, help="events per transaction, about"
        )
        parser.add_argument(
            "--at-each-line",
            action="store_true",
            help="stay, and drain each time a line comes in; a number in it is the new limit",
        )

    def handle(
        self,
        *,
        until_empty: bool,
        shard: int,
        shards: int,
        limit: int,
        at_each_line: bool,
        **_: object,
    ) -> None:
        for line in sys.stdin if at_each_line else ("",):
            drain = partial(
                drain_once, shard=shard, shards=shards, limit=int(line.strip() or limit)
            )
            self._measure(drain, until_empty=until_empty)

    def _measure(self, drain: partial[int], *, until_empty: bool) -> None:
        began_at, cpu_began_at = time.perf_counter(), time.process_time()
        events = merges = 0
        while count := drain(now=timezone.now()):
            events += count
            merges += 1
            if not until_empty:
                break
        figures = {
            "events": events,
            "merges": merges,
            "seconds": time.perf_counter() - began_at,
            "cpuSeconds": time.process_time() - cpu_began_at,
        }
        self.stdout.write(json.dumps(figures))
        self.stdout.flush()
