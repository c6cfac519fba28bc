"""What the page's scripts ask for and tell: JSON, for this page alone and not promised to anybody else."""

import dataclasses
from collections.abc import Sequence

import flask

from pigeonhole.labelling.answers import OF_CLASS
from pigeonhole.labelling.journal import REVIEW, UNDECIDED
from pigeonhole.labelling.status import Restored, Seen, Status
from pigeonhole.terminal import shown
from pigeonhole.web.labelling import asking
from pigeonhole.web.labelling.pages import current

MOST_PICTURES = 1000  # told of at once
SOURCES = ("page", "next", "group", "sheet", "answers", REVIEW)

api = flask.Blueprint("labelling_api", __name__, url_prefix="/label/api")
asking.guard(api)


@api.get("/state")
def state() -> flask.Response:
    return _state()


@api.get("/pictures")
def pictures() -> flask.Response:
    ids = flask.request.args.get("ids", "")
    rows = [asking.number(row) for row in ids.split(",")[:MOST_PICTURES] if row]
    return flask.jsonify(pictures=_pictures(rows))


@api.get("/next")
def following() -> flask.Response:
    return flask.jsonify(pictures=_pictures(current().next(_count())))


@api.get("/list")
def listed() -> flask.Response:
    args = flask.request.args
    return flask.jsonify(ids=current().listed(args.get("show", ""), args.get("order", "")))


@api.get("/groups")
def groups() -> flask.Response:
    found = current().groups()
    return flask.jsonify(
        groups=[
            {
                "id": group.number,
                "ids": group.rows,
                "proposed": group.proposed and group.proposed[0],
                "share": group.proposed and group.proposed[1],
            }
            for group in found
        ]
    )


@api.get("/answers")
def answered() -> flask.Response:
    sheets = current().answer_sheets()
    told = current().answered
    return flask.jsonify(
        file=told and told.file and shown(told.file.name),
        sheets=[
            {
                "kind": sheet.kind,
                "name": sheet.name,
                "ids": sheet.rows,
                "answers": None if sheet.kind == OF_CLASS else sheet.answers,  # there it is the name
                "shares": [round(share, 4) for share in sheet.shares],
            }
            for sheet in sheets
        ],
    )


@api.get("/review")
def review() -> flask.Response:
    copies = current().divided_copies()
    asked = {row for rows in copies for row in rows}
    suspects = [
        {
            "picture": _pictures([each.row])[0],
            "given": each.given,
            "proposed": each.proposed,
            "doubt": each.doubt,
            "nearest": _pictures(each.nearest),
        }
        for each in current().suspects()
        if each.row not in asked
    ]
    return flask.jsonify(suspects=suspects, copies=[_pictures(rows) for rows in copies])


@api.post("/decide")
def decide() -> flask.Response:
    told = asking.told()
    label = None if told.get("remove") else UNDECIDED
    if label is not None and told.get("label") is not None:
        label = asking.text(told, "label")
    source = told.get("source") if told.get("source") in SOURCES else SOURCES[0]
    current().decide(asking.text(told, "action"), asking.rows(told, "ids"), label, source)
    return _state()


@api.post("/keep")
def keep() -> flask.Response:
    told = asking.told()
    current().keep(asking.text(told, "action"), asking.rows(told, "ids"))
    return _state()


@api.post("/undo")
def undo() -> flask.Response:
    return _restored(current().undo(asking.text(asking.told(), "action")))


@api.post("/redo")
def redo() -> flask.Response:
    return _restored(current().redo(asking.text(asking.told(), "action")))


@api.post("/classes")
def add_class() -> flask.Response:
    current().add_class(asking.text(asking.told(), "name"))
    return _state()


@api.post("/classes/rename")
def rename_class() -> flask.Response:
    told = asking.told()
    current().rename(*(asking.text(told, name) for name in ("action", "old", "new")))
    return _state()


@api.post("/groups/split")
def split() -> flask.Response:
    told = asking.told()
    current().split(*asking.rows({"group": [told.get("group")]}, "group"), set(asking.rows(told, "out")))
    return _state()


@api.post("/groups/merge")
def merge() -> flask.Response:
    current().merge(asking.rows(asking.told(), "groups"))
    return _state()


@api.post("/groups/anew")
def regroup() -> flask.Response:
    current().regroup()
    return _state()


def _state(**more: object) -> flask.Response:
    """Where the labelling stands, and more about the request."""
    return flask.jsonify(state=_as_json(current().status()) | {"session": current().number}, **more)


def _restored(restored: Restored) -> flask.Response:
    return _state(ids=restored.rows, renamed=restored.is_renamed)


def _as_json(status: Status) -> dict[str, object]:
    content = dataclasses.asdict(status)
    content["counts"] = {name: content.pop(name) for name in ("pictures", "undecided", "removed")}
    content["classes"] = [{"name": name, "count": count} for name, count in status.counts.items()]
    content["accuracy"] = status.accuracy and status.accuracy._asdict()
    content["curve"] = [{"labels": each.labels, **each.accuracy._asdict()} for each in status.curve]
    return content


def _pictures(rows: Sequence[int]) -> list[dict[str, object]]:
    return [_picture(seen) for seen in current().seen(rows)]


def _picture(seen: Seen) -> dict[str, object]:
    best = seen.ranked[0] if seen.ranked else (None, None)
    return {
        "id": seen.row,
        "name": seen.name.encode("utf-8", "replace").decode("utf-8"),
        "digest": seen.digest,
        "width": seen.width,
        "height": seen.height,
        "label": seen.label,
        "removed": seen.removed,
        "proposed": best[0],
        "probability": best[1],
        "ranked": [{"name": name, "probability": share} for name, share in seen.ranked],
    }


def _count() -> int:
    return min(asking.number(flask.request.args.get("count", "1")), 100)
