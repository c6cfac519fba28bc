# Serves the runs that are mounted at /app/runs:
#   docker build -t pigeonhole .
#   docker run --rm --read-only -p 127.0.0.1:8000:8000 -v ./runs:/app/runs:ro pigeonhole
FROM python:3.13-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt

COPY serve.py .
COPY pigeonhole/ pigeonhole/
RUN useradd --system pigeonhole
USER pigeonhole

EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["python", "serve.py", "--host", "0.0.0.0", "--port", "8000"]
CMD []
