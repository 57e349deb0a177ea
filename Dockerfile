# syntax=docker/dockerfile:1
# One image with all parts: docker buildx build --platform linux/amd64,linux/arm64 --tag corten:0.1.0 .
# It has the program (static, with musl), links to it under each part's name, licences and a bill of materials; no shell.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base
WORKDIR /src
COPY . .
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,id=target-${TARGETARCH} \
    cargo build --release --locked --package corten && \
    cargo run --release --locked --package image -- --program target/release/corten --rootfs /rootfs

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/bin
USER 65532:65532
ENTRYPOINT ["/corten"]
LABEL org.opencontainers.image.title=corten org.opencontainers.image.licenses=Apache-2.0
