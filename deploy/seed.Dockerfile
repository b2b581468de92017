# syntax=docker/dockerfile:1
# Runs localstack/seed.py, which docker-compose mounts at /seed. For the compose file only; nothing of it is deployed.
ARG PYTHON=python:3.12-alpine

FROM ${PYTHON}
COPY localstack/requirements.txt /requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "/seed/seed.py"]
