"""Label a folder of pictures on a page in the browser, while a model learns along.

    pigeonhole label photos                    pictures without labels in any order, or class folders
    pigeonhole label things                    a new folder: teach by camera
    pigeonhole label photos --labels mine.csv  decisions are kept there and not in photos/labels.csv
    pigeonhole label runs/NAME                 the pictures of a run; decisions go into its fixes.csv
    pigeonhole label photos --answers new.csv  look over what predict --csv has said of them
    pigeonhole label photos --materialise new  without a page: class folders of labelled pictures in new/

The pictures are never changed, moved or deleted; frames of a camera are new files. Each decision is a line of
the file, written at once.
Ctrl-C stops the program; the next start goes on where this one ended.
"""

import argparse
import contextlib
import logging
import os
import secrets
import sys
import urllib.parse
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import cli
from pigeonhole.arguments import (
    Parser,
    add_cache_flags,
    as_path,
    names,
    port,
    thread_count,
)
from pigeonhole.commands.api_key import add_key_flags, find_key
from pigeonhole.data import journal, label_table, layout
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import StopRequest
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.terminal import counted, say, some

if TYPE_CHECKING:
    from pigeonhole.jobs.workbench import Source
    from pigeonhole.labelling.session import Session
    from pigeonhole.web.certificate import Tls

KEY_BYTES = 6  # of a key that is made for one start: some centuries of guessing through a network


def main(arguments: list[str]) -> int:
    """0 after a stop that was asked for."""
    options = _parse(arguments)
    if options.undo:
        from pigeonhole.commands import predict

        return predict.undo(options)
    if options.materialise:
        _check_folder(options.folder)
        return _materialise(options)
    return _serve(options)


def _check_folder(folder: Path) -> None:
    """Raise UsageError for what is no folder, with what to give in its place."""
    if folder.is_dir():
        return
    if not folder.exists():
        raise UsageError(f"{folder}: no such folder")
    if journal.is_journal(folder):
        raise UsageError(f"{folder}: is a file of labels; give the folder of its pictures, and --labels FILE")
    if folder.suffix.lower() in layout.ARCHIVES:
        raise UsageError(f"{folder}: is an archive; unpack it and give the folder")
    above = cli.quote(folder.absolute().parent)
    raise UsageError(f"{folder}: is a file; give the folder in which it lies, {above}")


@contextlib.contextmanager
def _perhaps_new(folder: Path) -> Iterator[None]:
    """Have a folder for frames of a camera where there is none; it is taken away if it stays empty."""
    is_new = not os.path.lexists(folder) and folder.parent.is_dir()
    if is_new:
        folder.mkdir()
        say(f"note    {folder} is new: teach by camera, or put pictures there and start again")
    _check_folder(folder)
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _materialise(options: argparse.Namespace) -> int:
    from pigeonhole.data import cache
    from pigeonhole.jobs import materialising
    from pigeonhole.jobs.bulk.sorting import UNDO
    from pigeonhole.labelling import opening

    kept = cache.of_flags(options.cache_dir, options.no_cache)
    found = opening.opened(options.folder, kept, options.labels, _classes(options))
    outcome = materialising.materialise(found, options.materialise, options.link)
    there = f", {outcome.present:,} there before" if outcome.present else ""
    say(
        f"{options.materialise}: {counted(outcome.made, 'picture', 'pictures')} put into class folders{there}"
    )
    undo = cli.quote(options.materialise / UNDO)
    say(f"to take them away: {cli.command('label')} --undo {undo}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from pigeonhole.web import address, certificate

    address.check(options.host, options.port)
    key = find_key(options)
    if key is None and not address.is_loopback(options.host):
        key = secrets.token_hex(KEY_BYTES)
        say(f"key     {key} is the password that browsers ask for, with any name; it ends with the program")
    tls = certificate.checked(options.certificate, options.key)
    with _perhaps_new(options.folder):
        _answer(options, tls, key)
    return 0


def _answer(options: argparse.Namespace, tls: "Tls | None", key: str | None) -> None:
    from pigeonhole.web import address, create_app, labelling
    from pigeonhole.web.server import Server

    session = _open(options)
    # An answer that is not waited for is said nowhere else, and each picture on the page is a request.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    app = create_app([], hosts=address.hosts(options.host), runs=options.output, api_key=key)
    jobs = labelling.add_to(app, session, _source(options, session))
    with StopRequest() as request:
        server = Server(app, options.host, options.port, options.threads, tls=tls)
        session.start()
        try:
            labelling.load_newest(app)
            _announce(options, session, server.urls[0])
            server.run(lambda: request.exit_status != 0)
        finally:
            jobs.close()
            session.close()
    _conclude(options, session)


def _open(options: argparse.Namespace) -> "Session":
    from pigeonhole.data import cache
    from pigeonhole.labelling import opening
    from pigeonhole.labelling.session import Session

    kept = cache.of_flags(options.cache_dir, options.no_cache)
    found = opening.opened(options.folder, kept, options.labels, _classes(options))
    session = Session(found.collection, found.journal, kept)
    if options.answers:
        _look_over(session, options.answers)
    return session


def _look_over(session: "Session", file: Path) -> None:
    """Have the answers in a file of `predict` shown."""
    from pigeonhole.jobs.bulk import reading
    from pigeonhole.labelling import answers

    found = answers.of_file(session.collection, reading.read(file), file)
    session.look_over(found)
    say(f"answers {counted(int((found.best >= 0).sum()), 'picture', 'pictures')} answered in {file}")
    if found.elsewhere:
        say(f"note    {counted(found.elsewhere, 'answer', 'answers')} there for other files")


def _source(options: argparse.Namespace, session: "Session") -> "Source":
    """What is trained on from the page."""
    from pigeonhole.jobs.workbench import Source

    flags = ["--cache-dir", str(options.cache_dir)] if options.cache_dir else []
    flags += ["--no-cache"] if options.no_cache else []
    run = Run(options.folder)
    if run.settings_file.is_file() and (labels := run.settings()["options"].get("labels")):
        flags += ["--labels", labels]
    flag, file = _decisions(options, session)
    return Source(session.collection.folder, file, options.output, flags, flag)


def _decisions(options: argparse.Namespace, session: "Session") -> tuple[str, Path]:
    """The flag by which a training takes the decisions, and their file."""
    run = Run(options.folder)
    if run.settings_file.is_file():
        return "--fixes", run.fixes_file
    return "--labels", session.journal.file


def _announce(options: argparse.Namespace, session: "Session", url: str) -> None:
    from pigeonhole.web import address

    say(f"folder  {options.folder}, {counted(len(session.collection), 'picture', 'pictures')}")
    if unreadable := len(session.collection.unreadable):
        say(f"note    {counted(unreadable, 'file', 'files')} cannot be read; the page lists them")
    if names := session.collection.classes:
        say(f"classes {some(names)}, by the folders; --heap: no folder is a class")
    say(f"labels  {session.journal.file}")
    url = f"{url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/label/"
    say(f"open    {url}")
    if options.certificate and (phone := address.for_phone(options.host, urllib.parse.urlsplit(url).port)):
        say(f"phone   {phone.replace('http:', 'https:')}label/")
    if not options.no_browser:
        webbrowser.open(url)


def _conclude(options: argparse.Namespace, session: "Session") -> None:
    """What has been reached, and what to do with it."""
    status = session.status()
    labelled = status.pictures - status.undecided - status.removed
    say(f"stopped; {labelled:,} of {counted(status.pictures, 'picture', 'pictures')} labelled")
    if sum(count > 0 for count in status.counts.values()) > 1 and session.journal.actions:
        flag, file = _decisions(options, session)
        data = cli.quote(session.collection.folder)
        say(f"next    {cli.command('train')} --data {data} {flag} {cli.quote(file)}")


def _classes(options: argparse.Namespace) -> list[str] | None:
    return [] if options.heap else options.classes


def _parse(arguments: list[str]) -> argparse.Namespace:
    """What the arguments say; leaves with status 2 where they are wrong."""
    parser = Parser("label", __doc__, "FOLDER")
    add = parser.add_argument
    add(
        "folder",
        nargs="?",
        type=as_path,
        metavar="FOLDER",
        help="pictures in any order, class folders, or both; or a run",
    )
    add(
        "--labels",
        type=as_path,
        metavar="FILE",
        help=f"where decisions are kept ({label_table.NAME} in the folder)",
    )
    folders = parser.add_mutually_exclusive_group()
    folders.add_argument(
        "--classes",
        type=names,
        metavar="A,B",
        help="these folders are classes, the others a heap (all, where every picture lies in one)",
    )
    folders.add_argument("--heap", action="store_true", help="no folder is a class")
    _add_materialising(parser)
    add(
        "--answers",
        type=as_path,
        metavar="FILE",
        help="look over the answers of a model: a file that predict --csv or --jsonl has written",
    )
    add(
        "--output",
        type=as_path,
        default=search.RUNS,
        metavar="FOLDER",
        help=f"where models that are trained from the page are saved ({search.RUNS})",
    )
    _add_serving(parser)
    add_key_flags(parser)
    add_cache_flags(parser)
    options = parser.parse_args(arguments)
    if (options.folder is None) is (options.undo is None):
        parser.error("give a FOLDER to label, or --undo FILE alone")
    if options.link and not options.materialise:
        parser.error("--link: only with --materialise")
    return options


def _add_serving(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--no-browser", action="store_true", help="print the address only")
    add("--host", default="127.0.0.1", help="the address to listen at; 0.0.0.0 for every one (127.0.0.1)")
    add("--port", type=port, default=8001, help="0 takes any that is free (8001)")
    add(
        "--certificate",
        type=as_path,
        metavar="FILE",
        help="answer by https; with --key, for a phone's camera",
    )
    add("--key", type=as_path, metavar="FILE", help="the private key of the certificate")
    add("--threads", type=thread_count, default=8, metavar="N", help="requests answered at the same time (8)")


def _add_materialising(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("class folders", "without a page")
    group.add_argument(
        "--materialise",
        type=as_path,
        metavar="FOLDER",
        help="copy each labelled picture into a folder of its class there",
    )
    group.add_argument("--link", action="store_true", help="hard links in the place of copies")
    group.add_argument(
        "--undo", type=as_path, metavar="FILE", help="take away what the undo.csv of --materialise lists"
    )
