# The demo and the hub in a container. A gate with a camera and a door runs under systemd instead.
#
#   docker build -t gated .
#   demo  docker run --rm -p 127.0.0.1:8000:8000 gated
#   hub   docker run -e GATED_CONFIG=/etc/gated/hub.yaml -e DATABASE_URL=postgresql://... \
#                    -v gated:/var/lib/gated -p 127.0.0.1:8000:8000 gated
#   first account  docker exec -it NAME gated user add admin --role admin
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/gated
ENV PATH=/opt/gated/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gated gated
RUN pip install --no-deps --no-build-isolation . \
 && gated assets install default demo mesh --into /opt/gated/share/gated/models --quiet

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/gated --no-create-home gated \
 && install -d -m 0700 -o gated -g gated /var/lib/gated
COPY --from=build /opt/gated /opt/gated
COPY config/container-demo.yaml /etc/gated/demo.yaml
COPY config/container-hub.yaml /etc/gated/hub.yaml
ENV PATH=/opt/gated/bin:$PATH PYTHONUNBUFFERED=1 \
    GATED_CONFIG=/etc/gated/demo.yaml GATED_STATE_DIR=/var/lib/gated
USER gated
WORKDIR /var/lib/gated
VOLUME /var/lib/gated
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
  "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# SIGINT and SIGTERM both end the gate cleanly, the door locked
STOPSIGNAL SIGTERM
ENTRYPOINT ["gated"]
CMD ["run"]
