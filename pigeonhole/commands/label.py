"""Label a folder of pictures on a page in the browser, while a model learns along.

    pigeonhole label photos                    pictures without labels in any order, or class folders
    pigeonhole label photos --labels mine.csv  decisions are kept there and not in photos/labels.csv

The pictures are never changed, moved or deleted. Each decision is a line of the file, written at once.
Ctrl-C stops the program; the next start goes on where this one ended.
"""

import argparse
import logging
import sys
import webbrowser
from typing import TYPE_CHECKING

from pigeonhole import cli
from pigeonhole.arguments import Parser, add_cache_flags, as_path, names, port, thread_count
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import StopRequest
from pigeonhole.terminal import counted, say

if TYPE_CHECKING:
    from pigeonhole.labelling.session import Session

JOURNAL = "labels.csv"  # in the folder, unless --labels names another


def main(arguments: list[str]) -> int:
    """0 after a stop that was asked for."""
    options = _parser().parse_args(arguments)
    if not options.folder.is_dir():
        raise UsageError(f"{options.folder}: no such folder")
    from pigeonhole.web import address, create_app, labelling
    from pigeonhole.web.server import Server

    address.check(options.host, options.port)
    session = _open(options)
    # An answer that is not waited for is said nowhere else, and each picture on the page is a request.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    app = create_app([], hosts=address.hosts(options.host))
    labelling.add_to(app, session)
    with StopRequest() as request:
        server = Server(app, options.host, options.port, options.threads)
        session.start()
        try:
            _announce(options, session, server.urls[0])
            server.run(lambda: request.exit_status != 0)
        finally:
            session.close()
    _conclude(options, session)
    return 0


def _open(options: argparse.Namespace) -> "Session":
    from pigeonhole.data import cache
    from pigeonhole.labelling.collection import Collection
    from pigeonhole.labelling.journal import Journal
    from pigeonhole.labelling.session import Session

    kept = cache.of_flags(options.cache_dir, options.no_cache)
    file = options.labels or options.folder / JOURNAL
    pictures = Collection.open(options.folder, kept, options.classes, without=[file])
    return Session(pictures, Journal(file, pictures.classes), kept)


def _announce(options: argparse.Namespace, session: "Session", url: str) -> None:
    from pigeonhole.web import address

    say(f"folder  {options.folder}, {counted(len(session.collection), 'picture', 'pictures')}")
    if unreadable := len(session.collection.unreadable):
        say(f"note    {counted(unreadable, 'file', 'files')} cannot be read; the page lists them")
    say(f"labels  {session.journal.file}")
    if address.hosts(options.host) is None:
        say("note    everyone who reaches this address may see the pictures and label them")
    url = f"{url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/label/"
    say(f"open    {url}")
    if not options.no_browser:
        webbrowser.open(url)


def _conclude(options: argparse.Namespace, session: "Session") -> None:
    """What has been reached, and what to do with it."""
    status = session.status()
    labelled = status.pictures - status.undecided - status.removed
    say(f"stopped; {labelled:,} of {counted(status.pictures, 'picture', 'pictures')} labelled")
    if sum(count > 0 for count in status.counts.values()) > 1 and session.journal.actions:
        labels = "" if _is_default(options) else f" --labels {cli.quote(options.labels)}"
        say(f"next    {cli.command('train')} {cli.quote(options.folder)}{labels}")


def _is_default(options: argparse.Namespace) -> bool:
    return options.labels is None or options.labels == options.folder / JOURNAL


def _parser() -> argparse.ArgumentParser:
    parser = Parser("label", __doc__, "FOLDER")
    add = parser.add_argument
    add("folder", type=as_path, metavar="FOLDER", help="pictures in any order, class folders, or both")
    add(
        "--labels",
        type=as_path,
        metavar="FILE",
        help=f"where decisions are kept ({JOURNAL} in the folder)",
    )
    add(
        "--classes",
        type=names,
        metavar="A,B",
        help="these folders are classes, the others a heap (all, where every picture lies in one)",
    )
    add("--no-browser", action="store_true", help="print the address only")
    add("--host", default="127.0.0.1", help="the address to listen at; 0.0.0.0 for every one (127.0.0.1)")
    add("--port", type=port, default=8001, help="0 takes any that is free (8001)")
    add("--threads", type=thread_count, default=8, metavar="N", help="requests answered at the same time (8)")
    add_cache_flags(parser)
    return parser
