# A test stage that must pass, and a small final image that runs as an unprivileged user.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE openapi.yaml ./
COPY cds_service ./cds_service
COPY fhir_fixtures ./fhir_fixtures
RUN pip install --no-cache-dir --prefix=/install '.[postgres]'

FROM build AS test
COPY tests ./tests
COPY docs ./docs
COPY .ci ./.ci
COPY ARCHITECTURE.md CHANGELOG.md SECURITY.md Makefile ./
RUN pip install --no-cache-dir '.[test]' && python -m pytest && touch /tested

FROM python:3.11-slim
COPY --from=build /install /usr/local
# makes the final image depend on the test stage
COPY --from=test /tested /usr/local/share/nlm-tested
RUN useradd --system --no-create-home --uid 10001 nlm && install -d -o 10001 -g 10001 -m 700 /data
USER 10001
# stores seen tokens and fetched key sets, unless CDS_DATABASE names a PostgreSQL database
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
ENTRYPOINT ["cds-service"]
# listening beyond this machine requires a site file (CDS_SITES), which lists the allowed callers
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
