# The image of every Relais process: api, worker and migrations differ only in their command.

FROM python:3.13-slim AS build
COPY requirements.txt /requirements.txt
# Hashes are required: what is installed is what was reviewed.
RUN python -m venv /opt/relais \
    && /opt/relais/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /requirements.txt

# What the console's map is drawn with in the browser; of the packages only what is sent to it.
FROM node:22-slim AS map
COPY web/node /map
RUN npm ci --prefix /map

# The pooler of the `scale` profile alone: Debian's, the version that the tests run.
FROM debian:12-slim AS pooler
RUN apt-get update && apt-get install -y --no-install-recommends pgbouncer && rm -rf /var/lib/apt/lists/*
USER 10002:10002
CMD ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]

FROM python:3.13-slim
# A number that no account of the host is likely to have; nothing in the image belongs to it.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin relais
COPY --from=build /opt/relais /opt/relais
COPY api /app/api
COPY db /app/db
COPY evidence /app/evidence
COPY geo /app/geo
COPY identity /app/identity
COPY importing /app/importing
COPY matching /app/matching
COPY relais /app/relais
COPY web /app/web
COPY worker /app/worker
COPY --from=map /map/node_modules/maplibre-gl/LICENSE.txt /app/web/node/node_modules/maplibre-gl/
COPY --from=map /map/node_modules/maplibre-gl/dist/maplibre-gl.mjs /map/node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs /app/web/node/node_modules/maplibre-gl/dist/
COPY --from=map /map/node_modules/pmtiles/dist/pmtiles.js /app/web/node/node_modules/pmtiles/dist/
COPY --from=map /map/node_modules/qr/LICENSE-MIT /map/node_modules/qr/decode.js /map/node_modules/qr/index.js /app/web/node/node_modules/qr/
COPY --from=map /map/node_modules/topojson-client/dist/topojson-client.min.js /app/web/node/node_modules/topojson-client/dist/
COPY --from=map /map/node_modules/world-atlas/countries-50m.json /app/web/node/node_modules/world-atlas/
# Byte code is made now: at run time the file system is read-only.
RUN python -m compileall -q /app
ENV PATH=/opt/relais/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]
