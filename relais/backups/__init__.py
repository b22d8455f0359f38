"""`relais backup` and `relais restore`: the whole database, sealed, with every moment between two backups.

pgBackRest makes, seals, checks and reads the backups; what is here says where, with which key and for how long, and
makes a restored database true again: what was purged since stays purged.
"""
