"""Plan → Python source, specialised to the query: loops over adjacency, inlined property reads, fast paths by type."""
