# The image of every process: the web server, the feed, the rollup and upkeep differ in their command only (compose.yaml).
# What is installed is pinned by constraints.txt. It holds no secret: keys come in the environment when it runs.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY dashapp/ dashapp/
# Editable, since the page's assets stand beside the package, where /app has them in the image too.
RUN /opt/venv/bin/pip install --constraint constraints.txt --editable .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 tickertone \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/tickertone --shell /usr/sbin/nologin tickertone \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/tickertone
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY assets/ /app/assets/
COPY data/sample/ /app/data/sample/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TICKERTONE_HOST=0.0.0.0 \
    TICKERTONE_LOGIN=password \
    TICKERTONE_PORT=8050 \
    TICKERTONE_DATA_DIR=/var/lib/tickertone/store
USER 10001:10001
WORKDIR /var/lib/tickertone
VOLUME ["/var/lib/tickertone"]
EXPOSE 8050
# On SIGTERM the server ends its streams and answers what it has begun; it takes 3 s at most (compose.yaml allows 15).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['TICKERTONE_PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["tickertone"]
CMD ["run"]
