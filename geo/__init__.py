"""Towns, cells, distances; pure Python."""
