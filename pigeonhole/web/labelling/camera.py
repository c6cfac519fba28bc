"""What the page sends of a camera: frames to keep for a class, and small ones to be answered."""

import flask

from pigeonhole.web.labelling import asking
from pigeonhole.web.labelling.pages import current

MOST_RANKED = 6  # classes of a live answer

camera = flask.Blueprint("labelling_camera", __name__, url_prefix="/label/api/camera")
asking.guard(camera)


@camera.post("/recordings")
def begin() -> flask.Response:
    return flask.jsonify(recording=current().camera.begin(asking.text(asking.told(), "label")))


@camera.post("/recordings/<name>")
def record(name: str) -> flask.Response:
    return flask.jsonify(frames=current().camera.record(name, flask.request.get_data(cache=False)))


@camera.post("/answers")
def answer() -> flask.Response:
    ranked = current().camera.answer(flask.request.get_data(cache=False))[:MOST_RANKED]
    return flask.jsonify(ranked=[{"name": name, "probability": share} for name, share in ranked])
