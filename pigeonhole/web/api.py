"""The JSON API; `static/openapi.json` describes it."""

from collections.abc import Callable
from dataclasses import asdict

import flask
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from pigeonhole.pictures import thumbnails
from pigeonhole.web import problems
from pigeonhole.web.answering import Answered, Busy, Left, Refused, Wanted
from pigeonhole.web.gateway import HAS_LEFT
from pigeonhole.web.models import Model

MOST_NEAREST = 20  # training pictures given with an answer

api = flask.Blueprint("api", __name__, url_prefix="/api")


@api.post("/predict")
def predict() -> flask.Response:
    """An answer for each picture of the request, in its order."""
    model = _chosen()
    top = _number("top")
    wanted = Wanted(min(_number("nearest", 0) or 0, MOST_NEAREST), bool(_number("heatmap", 0)))
    results = ask(_chosen, flask.request, lambda: wanted)
    return flask.jsonify(model=model.name, results=[_result(result, top, wanted) for result in results])


@api.get("/model")
def describe() -> flask.Response:
    """The model that answers, and the names of all."""
    model = _chosen()
    preprocessing = model.classifier.preprocessing
    return flask.jsonify(
        name=model.name,
        models=[each.name for each in flask.current_app.extensions["models"]],
        classes=model.classes,
        image_size=preprocessing.image_size,
        channels=preprocessing.channels,
        accuracy=model.accuracy and asdict(model.accuracy),
        known_pictures=len(model.known) if model.known else 0,
        accepted=problems.accepted(),
    )


@api.get("/openapi.json")
def document() -> flask.Response:
    return flask.current_app.send_static_file("openapi.json")


def ask(
    choose: Callable[[], Model], request: flask.Request, want: Callable[[], Wanted]
) -> list[Answered | Refused]:
    """The answer of the chosen model or a refusal for each picture; NothingReadable when all were refused."""
    extensions = flask.current_app.extensions
    has_left = request.environ.get(HAS_LEFT, lambda: False)
    try:
        results = extensions["answerer"].ask(choose, request, has_left, want)
    except Busy as error:
        raise ServiceUnavailable(f"{error} Try again shortly.") from None
    except Left:
        raise ServiceUnavailable("The client has left.") from None
    for result in results:
        extensions["metrics"].picture(result)
    if all(isinstance(result, Refused) for result in results):
        raise problems.NothingReadable(results)
    return results


def _chosen() -> Model:
    return flask.current_app.extensions["models"].choose(flask.request.args.get("model"))


def _number(name: str, least: int = 1) -> int | None:
    """A number of the query; None where it is not there."""
    text = flask.request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise BadRequest(f"{name} must be a whole number from {least} up.")
    return int(text)


def _result(result: Answered | Refused, top: int | None, wanted: Wanted) -> dict[str, object]:
    if isinstance(result, Refused):
        return problems.refusal(result)
    facts = result.facts
    given = {
        "name": result.name,
        "width": facts.width,
        "height": facts.height,
        "channels": 3,  # every picture is decoded to RGB
        "format": facts.format,
        "oddities": facts.oddities,
        "predictions": [{"class": name, "probability": share} for name, share in result.ranked[:top]],
        "unsure": result.unsure,
        "doubt": result.doubt,
        "milliseconds": round(result.milliseconds, 3),
    }
    if wanted.nearest:
        given["nearest"] = [
            {
                "file": near.name,
                "class": near.class_name,
                "cosine": near.cosine,
                "thumbnail": thumbnails.as_uri(near.thumbnail, "jpeg"),
            }
            for near in result.nearest
        ]
    if result.heatmap is not None:
        given["heatmap"] = heatmap_uri(result)
    return given


def heatmap_uri(result: Answered) -> str:
    """The heatmap as a data URI."""
    return thumbnails.as_uri(thumbnails.jpeg(result.heatmap, len(result.heatmap)), "jpeg")
