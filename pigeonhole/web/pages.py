"""The pages for people; each works without JavaScript."""

import functools

import cv2
import flask
import numpy as np
from werkzeug.exceptions import NotFound, UnsupportedMediaType

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError
from pigeonhole.features.known import Near
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError, Preprocessing
from pigeonhole.pictures.thumbnails import as_uri
from pigeonhole.runs.run import TrainingPicture
from pigeonhole.web import problems, security, uploads
from pigeonhole.web.answering import Answered, Wanted
from pigeonhole.web.api import ask, heatmap_uri
from pigeonhole.web.models import Model, Models

TOP = 5  # classes shown at first
NEAREST = 5  # training pictures shown

pages = flask.Blueprint("pages", __name__)


@pages.app_context_processor
def common() -> dict[str, object]:
    """What every page shows."""
    return {
        "models": _models(),
        "watched": flask.current_app.config["RUNS"] is not None,
        "accepted": problems.accepted(),
        "command": cli.command,
    }


@pages.before_request
def check_form() -> None:
    if flask.request.method == "POST" and not uploads.is_form(flask.request):
        raise UnsupportedMediaType("Send pictures as a form of the kind multipart/form-data.")


@pages.get("/")
def home() -> str | flask.Response:
    if not len(_models()):
        if "labelling" in flask.current_app.extensions:
            return flask.redirect(flask.url_for("labelling.page"))
        if flask.current_app.config["RUNS"] is not None:
            return flask.redirect(flask.url_for("watching.watch"))
    return flask.render_template("home.html", model=_models().choose(flask.request.args.get("model")))


@pages.post("/")
def answer() -> str:
    """The result page; the script of the home page takes the same answers out of it."""

    @functools.cache  # a run may be replaced meanwhile
    def choose() -> Model:
        return _models().choose(flask.request.form.get("model"))

    results = ask(choose, flask.request, lambda: Wanted(NEAREST, bool(flask.request.form.get("heatmap"))))
    return flask.render_template("answers.html", model=choose(), results=results, top=TOP)


@pages.get("/models/<name>")
def about(name: str) -> str:
    return flask.render_template("about.html", model=_models().choose(name))


@pages.get("/models/<name>/report")
def report(name: str) -> flask.Response:
    page = _models().choose(name).report
    if page is None:
        raise NotFound("This run has no report.")
    return flask.Response(
        page,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": security.REPORT_POLICY},
    )


@pages.get("/models/<name>/examples/<int:label>/<int:number>")
def example(name: str, label: int, number: int) -> flask.Response:
    """One of a class's example pictures, as the network sees it."""
    model = _models().choose(name)
    try:
        picture = model.examples[model.classes[label]][number]
    except IndexError:
        raise NotFound from None
    png = _example(picture, model.classifier.preprocessing)
    response = flask.Response(png, content_type="image/png")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@pages.app_template_filter()
def as_seen(result: Answered, model: Model) -> str:
    """What the network saw of a picture, as a PNG in a data URI."""
    return as_uri(_png(result.pixels, model.classifier.preprocessing), "png")


@pages.app_template_filter()
def small(near: Near) -> str:
    """A training picture, as a JPEG in a data URI."""
    return as_uri(near.thumbnail, "jpeg")


pages.add_app_template_filter(heatmap_uri, "heatmap")


@pages.app_template_filter()
def percent(share: float) -> str:
    """ "97.1 %"; no rounding up to certainty."""
    return f"{min(100 * share, 99.9):.1f} %" if share < 1 else "100 %"


@functools.lru_cache(maxsize=1024)
def _example(picture: TrainingPicture, preprocessing: Preprocessing) -> bytes:
    try:
        return _png(images.preprocess(picture.read(), preprocessing), preprocessing)
    except (ImageError, PigeonholeError):
        raise NotFound("This picture cannot be read any more.") from None


def _png(pixels: np.ndarray, preprocessing: Preprocessing) -> bytes:
    return cv2.imencode(".png", images.shown(pixels, preprocessing)[..., ::-1])[1].tobytes()


def _models() -> Models:
    return flask.current_app.extensions["models"]
