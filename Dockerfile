# The store is on the volume /data; everything else is set by OCIGRAPH_* variables or arguments of `serve`.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY graph graph
RUN /venv/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 ocigraph && install --directory --owner ocigraph /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH OCIGRAPH_STORE=/data/ocigraph.sqlite3
USER ocigraph
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; port = os.environ.get('OCIGRAPH_PORT', '8000'); r.urlopen(f'http://127.0.0.1:{port}/healthz', timeout=2)"]
# Inside a container the loopback address reaches nobody; what may reach port 8000 is for its publisher to say.
ENTRYPOINT ["ocigraph"]
CMD ["serve", "--host", "0.0.0.0"]
