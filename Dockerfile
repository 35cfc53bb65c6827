# lfmd in a container: one stage builds, one runs.
#
#   docker build -t lfmd .
#   docker run -p 8080:8080 lfmd                                    # demo model
#   docker run -p 8080:8080 -v ~/models:/models:ro lfmd --model /models/LFM2-8B-A1B
#
# debian:12-slim or debian:13-slim by --build-arg DEBIAN=13.
ARG DEBIAN=12

FROM debian:${DEBIAN}-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends gcc libc6-dev make && \
    rm -rf /var/lib/apt/lists/*
COPY . .
RUN config/deploy/install-packages.sh build && rm -rf /var/lib/apt/lists/*
# One layer: the build, and the packages of the libraries that the binary needs,
# whatever this release calls them.
RUN make -j2 all WERROR=-Werror && \
    make install DESTDIR=/out PREFIX=/usr && \
    ldd /out/usr/bin/lfmd | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | \
    xargs -n1 readlink -f | sed 's,.*/,*/,' | xargs dpkg-query -S | \
    cut -d: -f1 | sort -u > /out/usr/share/lfmd/packages

FROM debian:${DEBIAN}-slim
LABEL org.opencontainers.image.title="lfmd" \
      org.opencontainers.image.description="LFM2 mixture-of-experts models on CPUs, through the OpenAI API" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
# hadolint ignore=DL3008
RUN apt-get update && \
    xargs apt-get install -y --no-install-recommends < /usr/share/lfmd/packages && \
    rm -rf /var/lib/apt/lists/*
ENV LFMD_HOST=0.0.0.0 OPENBLAS_NUM_THREADS=1 MALLOC_ARENA_MAX=2
USER 10001:10001
WORKDIR /
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["/usr/bin/lfmd", "healthcheck"]
ENTRYPOINT ["/usr/bin/lfmd"]
