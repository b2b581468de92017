# syntax=docker/dockerfile:1
# Serves the merged file. Built from the root of the checkout:  docker build -f deploy/router.Dockerfile .

ARG RUST=rust:1.95-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST} AS build
WORKDIR /src
COPY . .
# One package at a time: built together with the other, cargo would unify their features and each binary would carry
# what only the other asked for.
RUN --mount=type=cache,id=postern-cargo,target=/usr/local/cargo/registry \
    --mount=type=cache,id=postern-router-target,target=/src/target \
    cargo build --locked --profile ship -p postern-router \
    && install -D -m 0755 target/ship/postern-router /out/postern-router \
    && install -d -m 0755 /out/state

FROM ${RUNTIME}
COPY --from=build /out/postern-router /usr/local/bin/postern-router
# A volume takes over owner and mode of what the image has at its path. It must be the same path and uid in both images
# and no symlink, else the directory is root's and the syncer cannot write to it.
COPY --from=build --chown=65532:65532 --chmod=0755 /out/state /var/lib/postern
VOLUME /var/lib/postern
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/postern-router"]
CMD ["serve", "--config", "/var/lib/postern/merged.json", "--listen", "0.0.0.0:8080"]
# ECS ignores a HEALTHCHECK written here, so there is none to trust in vain: the task definition and the compose file
# each run `postern-router health`.
