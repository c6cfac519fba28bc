# Serves the runs that are mounted at /app/runs:
#   docker build -t pigeonhole .
#   docker run --rm --read-only -p 127.0.0.1:8000:8000 -v ./runs:/app/runs:ro pigeonhole
# It writes nothing, so the root file system may be read-only. `make image-test` does what is said here without Docker.
FROM python:3.13-slim

# The package with what answering needs, in the versions of requirements.txt: no TensorFlow.
COPY pyproject.toml requirements.txt README.md LICENSE /source/
COPY pigeonhole/ /source/pigeonhole/
RUN pip install --no-cache-dir --constraint /source/requirements.txt /source && rm -r /source

WORKDIR /app
RUN useradd --system --uid 10001 pigeonhole
# A number: Kubernetes cannot tell from a name that it is not root.
USER 10001:10001

EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["pigeonhole", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD []
