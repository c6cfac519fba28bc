"""What an operator sees: an access log, metrics, and whether the server is well."""

import logging
import time

import flask
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from pigeonhole.web.answering import Answered, Refused

LOG = logging.getLogger("pigeonhole.access")

observing = flask.Blueprint("observing", __name__)


class Metrics:
    """The counters of one app."""

    def __init__(self):
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "pigeonhole_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "pigeonhole_request_seconds", "From a complete request to its answer", registry=self.registry
        )
        self._pictures = Counter(
            "pigeonhole_pictures", "Pictures by outcome", ("outcome",), registry=self.registry
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, status).inc()
        self._seconds.observe(seconds)

    def picture(self, result: Answered | Refused) -> None:
        outcome = "refused" if isinstance(result, Refused) else "unsure" if result.unsure else "answered"
        self._pictures.labels(outcome).inc()


def observe(app: flask.Flask) -> None:
    """Count and log every request of the app."""
    app.extensions["metrics"] = Metrics()
    app.register_blueprint(observing)

    @app.before_request
    def start_clock() -> None:
        flask.g.started = time.perf_counter()

    @app.after_request
    def record(response: flask.Response) -> flask.Response:
        request = flask.request
        seconds = time.perf_counter() - flask.g.started
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        app.extensions["metrics"].request(route, method, response.status_code, seconds)
        LOG.info(
            "%s %s %s %d %s %.1f ms",
            request.remote_addr,
            method,
            ascii(request.path)[1:-1],  # a line end in a path must not begin a line in the log
            response.status_code,
            response.content_length,
            1000 * seconds,
        )
        return response


@observing.get("/healthz")
def health() -> flask.Response:
    return flask.jsonify(status="ok")


@observing.get("/metrics")
def metrics() -> flask.Response:
    text = generate_latest(flask.current_app.extensions["metrics"].registry)
    return flask.Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")
