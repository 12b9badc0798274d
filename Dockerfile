# syntax=docker/dockerfile:1

# One image for each service, from one build:
#
#   docker build --target gateway -t pixel-gateway .
#   docker build --target playground -t pixel-playground .
#
# VERSION and REVISION are shown by the services (/debug/build, the metric
# pixel_build_info, the OpenAPI document): the image is built without the
# repository's history.
#
#   docker build --target api --build-arg VERSION=v1.2.3 --build-arg REVISION="$(git rev-parse HEAD)" .

ARG GO_VERSION=1.26

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY services services
COPY web web
ARG TARGETOS TARGETARCH
ARG VERSION="" REVISION=""
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    GOCACHE=/go/build-cache CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X github.com/cloud-pixel/playground/services/internal/telemetry.version=$VERSION -X github.com/cloud-pixel/playground/services/internal/telemetry.revision=$REVISION" \
      -o /out/bin/ ./services/gateway ./services/api ./services/frontend ./services/playground
# What the services expect of a file system: certificates for rediss:// and a
# folder for temporary files (the api saves the last picture of a canvas that
# Redis lost there, unless RESCUE_DIR names another folder).
RUN mkdir -p /out/files/etc/ssl/certs && mkdir -m 1777 /out/files/tmp && \
    cp /etc/ssl/certs/ca-certificates.crt /out/files/etc/ssl/certs/

# The canary is of another module, which needs this one beside it.
FROM build AS build-canary
COPY observability/go.mod observability/go.sum observability/
COPY observability/canary observability/canary
COPY observability/internal/canary observability/internal/canary
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    GOCACHE=/go/build-cache CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go -C observability build -trimpath \
      -ldflags '-s -w' -o /out/bin/canary ./canary

# No shell, no package, no user with rights: only what is copied here.
FROM scratch AS base
COPY --from=build /out/files/ /
USER 65532:65532
ARG VERSION="" REVISION=""
LABEL org.opencontainers.image.title="Cloud Pixel Playground" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM base AS gateway
LABEL org.opencontainers.image.description="WebSocket service: takes operations into the log and hands them to everybody"
COPY --from=build /out/bin/gateway /gateway
EXPOSE 3002
ENTRYPOINT ["/gateway"]

FROM base AS api
LABEL org.opencontainers.image.description="Canvas API: canvases over HTTP, and their checkpoints"
COPY --from=build /out/bin/api /api
EXPOSE 3001
ENTRYPOINT ["/api"]

FROM base AS canary
LABEL org.opencontainers.image.description="Draws a pixel a second through each gateway, and tells how that went"
COPY --from=build-canary /out/bin/canary /canary
EXPOSE 9091
ENTRYPOINT ["/canary"]

FROM base AS frontend
LABEL org.opencontainers.image.description="The page"
COPY --from=build /out/bin/frontend /frontend
EXPOSE 3000
ENTRYPOINT ["/frontend"]

# The last target is what `docker build .` makes. Without REDIS_URL its canvas
# lives in memory and goes with the container: there is no redis-server here.
FROM base AS playground
LABEL org.opencontainers.image.description="The whole system in one process"
COPY --from=build /out/bin/playground /playground
EXPOSE 8080
ENTRYPOINT ["/playground", "-addr", "0.0.0.0:8080"]
