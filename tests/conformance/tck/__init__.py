"""The openCypher TCK: its scenarios, the graphs they set up, the values of their tables."""
