"""The calls of the API, one module a family; each exports a `router`."""
