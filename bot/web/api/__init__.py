"""The HTTP API, `/api/v1`: a file per noun."""
