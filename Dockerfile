# The workbench in a container, for the CPU or an NVIDIA GPU:
#
#   docker build -t peregrine .
#   docker run --rm -p 8501:8501 -v "$PWD/studies:/studies" peregrine  # others: -e PEREGRINE_HOSTS=lab.example
#   docker run --rm -v "$PWD/studies:/studies" -v "$PWD/photos:/photos:ro" peregrine \
#       analyze /studies/mine --images /photos          # with a GPU: docker run --gpus all …
#
# torch comes with CUDA. For a smaller image without it, name torch's own index of CPU builds:
# --build-arg PIP_EXTRA_INDEX_URL=…
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CITATION.cff ./
COPY requirements.txt requirements-dev.txt ./
COPY .streamlit .streamlit
COPY assets assets
COPY configs configs
COPY core core
COPY dashboard dashboard
RUN python3 -m pip wheel --quiet --no-deps --wheel-dir /wheel .

FROM ${PYTHON}
# Chromium draws figures and charts of reports.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends chromium fonts-dejavu-core && \
    rm -rf /var/lib/apt/lists/*
ARG PIP_EXTRA_INDEX_URL
COPY --from=build /wheel /wheel
RUN python3 -m pip install --quiet --no-cache-dir "$(ls /wheel/*.whl)[heic,mcp,tensorboard,umap]"
RUN useradd --create-home --uid 1000 peregrine && install --directory --owner peregrine /studies
USER peregrine
WORKDIR /home/peregrine
ENV PEREGRINE_STUDIES=/studies PEREGRINE_HOSTS=localhost STREAMLIT_BROWSER_GATHER_USAGE_STATS=false
VOLUME /studies
EXPOSE 8501
HEALTHCHECK --start-period=30s CMD \
    ["python3", "-c", "import socket; socket.create_connection(('localhost', 8501), 5)"]
ENTRYPOINT ["peregrine"]
CMD ["dashboard", "--host", "0.0.0.0", "--port", "8501"]
