# One image for every process of Callsheet; docker-compose.yml says which command each runs.
FROM python:3.12-slim-bookworm AS build
WORKDIR /opt/callsheet
COPY requirements.bootstrap.lock requirements.lock ./
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.bootstrap.lock \
    && .venv/bin/uv pip install --python .venv/bin/python --require-hashes --compile-bytecode --no-cache --requirement requirements.lock \
    && .venv/bin/pip uninstall --yes uv

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/callsheet --create-home callsheet \
    && install --directory --owner callsheet --group callsheet /var/lib/callsheet/var /var/lib/callsheet/store
WORKDIR /opt/callsheet
COPY --from=build /opt/callsheet/.venv .venv
COPY . .
ENV PATH=/opt/callsheet/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CALLSHEET_ENV=production \
    API_HOST=0.0.0.0 \
    VAR_DIR=/var/lib/callsheet/var \
    REMAP_SIGTERM=SIGQUIT
USER 10001:10001
VOLUME /var/lib/callsheet/var
EXPOSE 8080 5555
CMD ["gunicorn", "app:create_app()"]
