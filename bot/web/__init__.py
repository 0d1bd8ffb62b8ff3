"""Web: pages, the HTTP API, live events; every process of it holds nothing that matters."""
