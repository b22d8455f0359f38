"""Tables, sessions and the queries, one module per aggregate."""
