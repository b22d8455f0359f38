"""Tests of cells, distances and names of towns."""
