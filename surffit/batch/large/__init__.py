"""Batches beyond memory: lazy fits of dask arrays, and from one store to another."""
