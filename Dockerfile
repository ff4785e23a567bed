# One image for the service and the agent. Packages come from the lock file, by hash. The programs run as a user without rights.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements/run.txt requirements/build.txt requirements/
RUN python -m venv /opt/fiesta \
    && /opt/fiesta/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/run.txt \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY runtime runtime
COPY protocol protocol
COPY agent agent
COPY central central
COPY migrations migrations
COPY native native
RUN /opt/build/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir dist . \
    && /opt/fiesta/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.11.11-slim-bookworm
RUN useradd --system --uid 10001 --shell /usr/sbin/nologin --create-home --home-dir /var/lib/fiesta fiesta
COPY --from=build /opt/fiesta /opt/fiesta
ENV PATH=/opt/fiesta/bin:$PATH PYTHONUNBUFFERED=1
USER fiesta
WORKDIR /var/lib/fiesta
CMD ["fiesta-central", "serve"]
