"""Issuers, told apart from those who only say that they are."""
