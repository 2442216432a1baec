"""One handler for each endpoint. `http/endpoints.py` lists them, `http/dispatch.py` calls them."""
