"""Put trained models behind a web page and a JSON API.

    pigeonhole serve
    pigeonhole serve --model runs/leaves --model runs/scans --host 0.0.0.0 --api-key-file key.txt
    pigeonhole serve --watch

Ctrl-C or a termination signal stops it, once every request that was accepted is answered.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pigeonhole import cli
from pigeonhole.arguments import (
    Parser,
    as_path,
    count,
    filled,
    port,
    positive,
    thread_count,
)
from pigeonhole.commands import foreign_flags
from pigeonhole.commands.api_key import add_key_flags, find_key
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import StopRequest
from pigeonhole.model.engines.engine import AUTO, CHOICES
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say

if TYPE_CHECKING:
    from pigeonhole.web import Model


def main(arguments: list[str]) -> int:
    """0 after a stop that was asked for."""
    options = parse(arguments)
    runs, api_key = find_models(options), find_key(options)
    from pigeonhole.web import address, create_app, models
    from pigeonhole.web.gateway import Limits

    address.check(options.host, options.port)
    for run in runs:
        say(f"run     {run.describe()}")
    served = models.load(runs, options.engine, foreign_flags.foreign(options))
    from pigeonhole.web.server import Server

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    most_bytes = int(options.max_megabytes * 1e6)
    app = create_app(
        served,
        runs=options.watch,
        api_key=api_key,
        most_bytes=most_bytes,
        most_pixels=int(options.max_megapixels * 1e6),
        hosts=address.hosts(options.host),
    )
    limits = Limits(queue=options.queue, request_bytes=most_bytes, held_bytes=int(1.25 * most_bytes))
    with StopRequest() as request:
        server = Server(app, options.host, options.port, options.threads, limits)
        announce(options, served, server.urls, bool(api_key))
        server.run(lambda: request.exit_status != 0)
    print("stopped", flush=True)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("serve", __doc__)
    add = parser.add_argument
    add(
        "--model",
        action="append",
        type=filled,
        metavar="RUN",
        help="a run's folder or name, or an .onnx or .zip file; repeatable (newest)",
    )
    add(
        "--watch",
        type=as_path,
        nargs="?",
        const=search.RUNS,
        metavar="FOLDER",
        help="also follow the newest training in FOLDER (runs) on the page /watch; needs no finished model",
    )
    add("--host", default="127.0.0.1", help="the address to listen at; 0.0.0.0 for every one (127.0.0.1)")
    add("--port", type=port, default=8000, help="0 takes any that is free (8000)")
    add("--threads", type=thread_count, default=8, metavar="N", help="requests answered at the same time (8)")
    add(
        "--engine",
        choices=CHOICES,
        default=AUTO,
        help="what computes the answers; auto: ONNX Runtime, the faster, where the run has its file (auto)",
    )
    add("--queue", type=count, default=64, metavar="N", help="requests that may wait; more get a 503 (64)")
    add_key_flags(parser)
    add("--max-megabytes", type=positive, default=32, metavar="N", help="the longest request (32)")
    add("--max-megapixels", type=positive, default=50, metavar="N", help="the largest picture (50)")
    foreign_flags.add(parser)
    return parser.parse_args(arguments)


def find_models(options: argparse.Namespace) -> list[Run]:
    """The run of each model; none where a training is only watched."""
    if options.watch is not None and not options.watch.is_dir() and options.watch != search.RUNS:
        raise UsageError(f"--watch {options.watch}: no such folder")
    try:
        runs = [search.find(model) for model in options.model or [None]]
    except UsageError as error:
        if options.model:
            raise
        if options.watch is None:
            raise UsageError(f"{error}; or follow a training: {cli.command('serve')} --watch") from None
        return []
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError("--model: two of the runs have the same name; rename the folder of one")
    return runs


def announce(
    options: argparse.Namespace, models: Sequence["Model"], urls: Sequence[str], has_key: bool
) -> None:
    for model in models:
        say(f"model   {model.name}, {len(model.classes)} classes")
    if options.watch is not None:
        say(f"watch   {options.watch}")
    from pigeonhole.web import address

    if address.hosts(options.host) is None and not has_key:
        print("note    everyone who reaches this address may ask; --api-key-file FILE changes that")
    for url in urls:
        say(f"open    {url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/")
    announce_for_phone(options.host, urls)
    sys.stdout.flush()


def announce_for_phone(host: str, urls: Sequence[str]) -> None:
    """The address that a phone opens, and the same for its camera where standard output is a terminal."""
    from pigeonhole.web import address

    if url := address.for_phone(host, int(urls[0].rpartition(":")[2])):
        say(f"phone   {url} in the same network")
        if sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower():
            say("", *address.qr_code(url), "")
