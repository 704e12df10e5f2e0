"""The chunk engine: any `block -> maps` over more data than fit in memory, on threads or a cluster, resumable."""
