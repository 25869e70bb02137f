# The program alone, for servers and workers; docker-compose.yml and deploy/kubernetes run it.
# Tasks run in the worker's container: what they need belongs into an image that begins with this one.

# The releases are pinned, their security fixes are not: a build takes the latest of them.
FROM rust:1.95-slim-trixie AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ libclang-dev libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Incremental builds would only make the layers larger.
ENV CARGO_INCREMENTAL=0

# First what the program depends on, RocksDB and librdkafka among it, with empty crates in place of our own: this layer
# takes about 25 minutes on 2 cores, and is built again only when a manifest or the lock file has changed.
COPY Cargo.toml Cargo.lock ./
COPY state/Cargo.toml state/
COPY tests/chaos/Cargo.toml tests/chaos/
COPY tests/checker/Cargo.toml tests/checker/
COPY topologies/Cargo.toml topologies/
COPY xtask/Cargo.toml xtask/
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    mkdir -p src state/src tests/chaos/src tests/checker/src topologies/src xtask/src \
    && touch src/lib.rs state/src/lib.rs tests/checker/src/lib.rs topologies/src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cp src/main.rs tests/chaos/src/main.rs && cp src/main.rs xtask/src/main.rs \
    && cargo build --release --locked -p yardmaster --bin yardmaster

# Then our own. Cargo goes by the files' times, and those of a checkout may be older than the empty crates.
COPY docs/schemas docs/schemas
COPY state/src state/src
COPY topologies/src topologies/src
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    find src state/src topologies/src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p yardmaster --bin yardmaster \
    && strip --strip-debug target/release/yardmaster

FROM debian:13-slim
LABEL org.opencontainers.image.title="yardmaster" \
    org.opencontainers.image.description="Hands the tasks of a compute grid to workers, exactly once, on Apache Kafka" \
    org.opencontainers.image.licenses="Apache-2.0"
# The shared libraries that the program is linked to, and the authorities for brokers that speak TLS.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3t64 libstdc++6 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 yardmaster \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/yardmaster yardmaster \
    # Volumes that are mounted here for the first time belong to whom these directories belong to.
    && install -d -o yardmaster -g yardmaster /etc/yardmaster /var/lib/yardmaster
COPY --from=build /build/target/release/yardmaster /usr/local/bin/yardmaster
# By number: Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/yardmaster
EXPOSE 9733
# The first drains a worker, or makes a server hand over what it has.
STOPSIGNAL SIGTERM
# A server is healthy when every partition is served. For workers it is switched off where they are started.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["yardmaster", "health"]
ENTRYPOINT ["yardmaster"]
CMD ["--help"]
