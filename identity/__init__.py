"""Asks an issuer (OpenID Connect) for whom somebody signs in, and believes what is proved. Keeps nothing."""
