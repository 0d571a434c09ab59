# The image that serves one model: the wheel, what it needs, and nothing else. From the repository root:
#   make wheel
#   docker build -f infra/serve.Dockerfile -t graft:serve .
#   docker run --read-only --tmpfs /tmp --tmpfs /cache:uid=1000 -p 8080:8080 -e GRAFT_MODEL=s3://bucket/models/digits graft:serve
FROM python:3.11.14-slim-bookworm

COPY requirements/serve.txt dist/graft-*.whl /tmp/
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/serve.txt \
    && pip install --no-cache-dir --no-deps /tmp/graft-*.whl \
    && find /usr/local/lib -type d -path '*-packages/*/tests' -prune -exec rm -r {} + \
    && rm /tmp/serve.txt /tmp/graft-*.whl

# SageMaker starts a container by the word `serve`
COPY infra/serve /usr/local/bin/serve
RUN useradd --no-create-home --uid 1000 graft && install --directory --owner graft /cache
USER 1000:1000
WORKDIR /cache

# all that is ever written: pulled versions to GRAFT_HOME, forms that are being read to /tmp
ENV GRAFT_HOME=/cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

EXPOSE 8080
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
CMD ["serve"]
