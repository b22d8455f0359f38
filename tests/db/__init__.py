"""Tests of the queries, the holds and the migrations, on real databases."""
