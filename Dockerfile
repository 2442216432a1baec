# The service as an image: Python, the locked packages, the code, and its kernels already compiled.
#
#   docker build -t api-anomaly-detection .
#
# Another base: --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm (3.11 or newer, with pip).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# checkov:skip=CKV_DOCKER_7:The base image has an exact tag; Checkov does not look into the ARG that holds it

# ---- build: packages into a virtual environment, machine code beside the sources ----
FROM ${PYTHON_IMAGE} AS build

# The kernels are compiled for any processor of the architecture, not for the one that builds.
ENV NUMBA_CPU_NAME=generic \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app
COPY requirements.txt ./
# Wheels only: nothing is compiled here, so no compiler is needed. The packages' own tests stay out.
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install \
        --no-cache-dir --no-compile --only-binary :all: --no-deps --require-hashes -r requirements.txt \
    && find /opt/venv -type d -name tests -prune -exec rm -rf {} +

COPY main.py ./
COPY api_anomaly/ api_anomaly/
# Bytecode that is never checked against the sources: the image changes as a whole or not at all.
RUN chmod -R a+rX,go-w /app \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app \
    && /opt/venv/bin/python -m api_anomaly.runtime.compile_kernels

# ---- the image that ships ----
FROM ${PYTHON_IMAGE}

# PASSIVE: threads of a training that wait give up the processor; spinning, they would use up a CPU limit for nothing
# (measured on two busy cores: half the processor time).
ENV NUMBA_CPU_NAME=generic \
    OMP_WAIT_POLICY=PASSIVE \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# One user who owns the two folders it writes, and nothing else; no program that lends root's rights.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /app --shell /usr/sbin/nologin app \
    && install -d -o app -g app -m 0750 models logs \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

USER 10001:10001
# Models, keys and memory; the service's own record. Volumes, so that the root can be read-only.
VOLUME ["/app/models", "/app/logs"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "api_anomaly.http.healthcheck"]
CMD ["python", "main.py"]

# Last, so that another version changes no layer.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="API Anomaly Detection" \
      org.opencontainers.image.description="Learns how the users of an API behave and says which requests are anomalous, and why." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
